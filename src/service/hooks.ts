/** Where the KUBE chains hang in the kernel's own chains: the order that kube-proxy's rules have on a fresh node (kube-proxy.md 1.2). */
import { chainName } from '../dataplane/names.ts';
import type { BuiltinChain, Hook, Match, TableName } from '../dataplane/rule.ts';
import type { IpFamily } from '../lib/ip.ts';
import { answersOnLocalhost } from './nodeport-addresses.ts';
import type { ServiceOptions } from './options.ts';
import { jump, makeRule } from './rules.ts';

/** From the top down. Policy's hooks must be above KUBE-FORWARD, which accepts what is marked for masquerade. */
export function serviceHooks(options: ServiceOptions, family: IpFamily): readonly Hook[] {
  const places = hasLocalnetFirewall(options, family) ? [...localnetPlaces, ...commonPlaces] : commonPlaces;
  return places.map((place) => ({
    table: place.table,
    chain: place.chain,
    position: 'first',
    style: 'kube',
    rule: makeRule(
      {
        ...(place.comment === undefined ? {} : { comment: place.comment }),
        origin: { note: place.comment ?? 'kubelet firewall' },
      },
      place.onlyNew === true ? [isNew] : [],
      jump(chainName(place.target)),
    ),
  }));
}

/** KUBE-FIREWALL guards 127.0.0.0/8 where nodePorts answer there; kubelet keeps the same rule, and without it the chain is left to kubelet. */
export function hasLocalnetFirewall(options: ServiceOptions, family: IpFamily): boolean {
  return family === 'ipv4' && answersOnLocalhost(options);
}

interface Place {
  readonly table: TableName;
  readonly chain: BuiltinChain;
  readonly target: string;
  readonly comment?: string;
  readonly onlyNew?: true;
}

const isNew: Match = { kind: 'ctstate', states: ['NEW'] };

const firewall = {
  target: 'KUBE-PROXY-FIREWALL',
  comment: 'kubernetes load balancer firewall',
  onlyNew: true,
} as const;
const services = { target: 'KUBE-SERVICES', comment: 'kubernetes service portals' } as const;
const external = {
  target: 'KUBE-EXTERNAL-SERVICES',
  comment: 'kubernetes externally-visible service portals',
  onlyNew: true,
} as const;

const localnetPlaces: readonly Place[] = [
  { table: 'filter', chain: 'INPUT', target: 'KUBE-FIREWALL' },
  { table: 'filter', chain: 'OUTPUT', target: 'KUBE-FIREWALL' },
];

const commonPlaces: readonly Place[] = [
  { table: 'filter', chain: 'INPUT', ...firewall },
  { table: 'filter', chain: 'INPUT', target: 'KUBE-NODEPORTS', comment: 'kubernetes health check service ports' },
  { table: 'filter', chain: 'INPUT', ...external },
  { table: 'filter', chain: 'FORWARD', ...firewall },
  { table: 'filter', chain: 'FORWARD', target: 'KUBE-FORWARD', comment: 'kubernetes forwarding rules' },
  { table: 'filter', chain: 'FORWARD', ...services, onlyNew: true },
  { table: 'filter', chain: 'FORWARD', ...external },
  { table: 'filter', chain: 'OUTPUT', ...firewall },
  { table: 'filter', chain: 'OUTPUT', ...services, onlyNew: true },
  { table: 'nat', chain: 'PREROUTING', ...services },
  { table: 'nat', chain: 'OUTPUT', ...services },
  { table: 'nat', chain: 'POSTROUTING', target: 'KUBE-POSTROUTING', comment: 'kubernetes postrouting rules' },
];
