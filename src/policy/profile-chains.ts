/** The chains of Calico's profiles: what applies to a pod that no policy isolates in a direction. */
import { acceptMark } from '../dataplane/marks.ts';
import { profileEgressChain, profileIngressChain } from '../dataplane/names.ts';
import type { Chain, Rule } from '../dataplane/rule.ts';
import { hasMark, returnToCaller, setMark } from '../dataplane/rule-parts.ts';
import type { Direction } from './plan.ts';

/** `cali-pri-` and `cali-pro-` of a profile: a namespace's accepts everything, a service account's says nothing. */
export function renderProfileChains(profile: string): readonly Chain[] {
  return [
    { name: profileIngressChain(profile), style: 'cali', rules: profileRules(profile, 'ingress') },
    { name: profileEgressChain(profile), style: 'cali', rules: profileRules(profile, 'egress') },
  ];
}

function profileRules(profile: string, direction: Direction): readonly Rule[] {
  const comments = [`Profile ${profile} ${direction}`];
  const [kind, namespace] = profile.split('.');
  const object = `Namespace ${namespace ?? ''}`;
  if (kind !== 'kns') {
    const origin = { note: `profile of a service account: decides nothing` };
    return [{ matches: [], action: { kind: 'none' }, comments, origin }];
  }
  const note = `no policy isolates the pod for ${direction}, so its namespace's profile accepts`;
  return [
    { matches: [], action: setMark(acceptMark), comments, origin: { object, note } },
    {
      matches: [hasMark(acceptMark)],
      action: returnToCaller,
      comments: [],
      origin: { object, note: 'the profile accepted' },
    },
  ];
}
