/** `cali-tw-` and `cali-fw-` of one pod, in the order of Calico <= v3.27 (felix.md 2.3). */
import { acceptMark, passMark } from '../dataplane/marks.ts';
import {
  type ChainName,
  fromWorkloadChain,
  policyEgressChain,
  policyIngressChain,
  profileEgressChain,
  profileIngressChain,
  toWorkloadChain,
} from '../dataplane/names.ts';
import type { Action, Chain, Match, Origin, Rule } from '../dataplane/rule.ts';
import { accept, clearMark, drop, hasMark, isMarkClear, jumpTo, returnToCaller } from '../dataplane/rule-parts.ts';
import type { WorkloadEndpoint } from './plan.ts';

export interface EndpointChainOptions {
  /** False where INVALID packets must pass: asymmetric paths, nf_conntrack_tcp_be_liberal. */
  readonly invalidDrop: boolean;
  /** The pod is known but must not communicate: its chains drop everything. */
  readonly disabled?: true;
}

type Policies = Pick<WorkloadEndpoint, 'key' | 'ingress' | 'egress' | 'profiles'>;

/** One direction of one pod: which chains it jumps to. */
interface Half {
  readonly object: string;
  readonly policies: readonly { readonly id: string; readonly chain: ChainName }[];
  readonly profiles: readonly ChainName[];
  readonly prelude: readonly Rule[];
}

/** `suffix` is what the chains are named after: the pod's host-side interface. */
export function renderEndpointChains(
  endpoint: Policies,
  suffix: string,
  options: EndpointChainOptions,
): readonly Chain[] {
  const object = `Pod ${endpoint.key}`;
  const toWorkload: Half = {
    object,
    policies: endpoint.ingress.map((id) => ({ id, chain: policyIngressChain(id) })),
    profiles: endpoint.profiles.map(profileIngressChain),
    prelude: [],
  };
  const fromWorkload: Half = {
    object,
    policies: endpoint.egress.map((id) => ({ id, chain: policyEgressChain(id) })),
    profiles: endpoint.profiles.map(profileEgressChain),
    prelude: encapsulationDrops(object),
  };
  return [
    { name: toWorkloadChain(suffix), style: 'cali', rules: halfRules(toWorkload, options) },
    { name: fromWorkloadChain(suffix), style: 'cali', rules: halfRules(fromWorkload, options) },
  ];
}

function halfRules(half: Half, options: EndpointChainOptions): readonly Rule[] {
  const say = saying(half.object);
  if (options.disabled === true) return [rule(say('the pod is switched off'), [], drop, 'Endpoint admin disabled')];
  return [
    rule(say('an accepted connection goes on'), [ctstate('RELATED', 'ESTABLISHED')], accept),
    ...(options.invalidDrop
      ? [rule(say('the packet belongs to no connection that conntrack knows'), [ctstate('INVALID')], drop)]
      : []),
    rule(say('nothing has accepted the packet yet'), [], clearMark(acceptMark)),
    ...half.prelude,
    ...policyRules(half),
    ...half.profiles.flatMap((chain) => [
      rule(say('asks the profile'), [], jumpTo(chain)),
      rule(say('the profile accepted'), [hasMark(acceptMark)], returnToCaller, 'Return if profile accepted'),
    ]),
    rule(say('no profile accepted'), [], drop, 'Drop if no profiles matched'),
  ];
}

function policyRules({ object, policies }: Half): readonly Rule[] {
  if (policies.length === 0) return [];
  const say = saying(object);
  const undecided = isMarkClear(passMark);
  const names = policies.map(({ id }) => policyName(id)).join(', ');
  return [
    rule(say('policies isolate the pod in this direction'), [], clearMark(passMark), 'Start of policies'),
    ...policies.flatMap(({ id, chain }) => [
      rule(say(`asks policy ${policyName(id)}`), [undecided], jumpTo(chain)),
      rule(
        say(`policy ${policyName(id)} allowed it`),
        [hasMark(acceptMark)],
        returnToCaller,
        'Return if policy accepted',
      ),
    ]),
    rule(
      say(`none of the policies that isolate the pod allows the packet: ${names}`),
      [undecided],
      drop,
      'Drop if no policies passed packet',
    ),
  ];
}

/** A pod that speaks a tunnel's protocol could put packets past every policy. */
function encapsulationDrops(object: string): readonly Rule[] {
  const origin = { object, note: 'a tunnel that begins in the pod would carry packets past policy' };
  const vxlan: readonly Match[] = [
    { kind: 'protocol', protocol: 17 },
    { kind: 'ports', side: 'destination', ports: [{ first: 4789, last: 4789 }] },
  ];
  return [
    rule(origin, vxlan, drop, 'Drop VXLAN encapped packets originating in workloads'),
    rule(origin, [{ kind: 'protocol', protocol: 4 }], drop, 'Drop IPinIP encapped packets originating in workloads'),
  ];
}

/** `ns/knp.default.name` as people know it. */
function policyName(id: string): string {
  return id.replace('/knp.default.', '/');
}

function ctstate(...states: Extract<Match, { kind: 'ctstate' }>['states']): Match {
  return { kind: 'ctstate', states };
}

function saying(object: string): (note: string) => Origin {
  return (note) => ({ object, note });
}

function rule(origin: Origin, matches: readonly Match[], action: Action, comment?: string): Rule {
  return { matches, action, comments: comment === undefined ? [] : [comment], origin };
}
