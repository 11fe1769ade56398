/** The endpoints that a connection may get, with the share of each. */
import { shareToNumber } from '../dataplane/trace/share.ts';
import { joinHostPort } from '../lib/ip.ts';
import type { ClusterModel } from './cluster-model.ts';
import type { Answer, InvestigatedBranch } from './investigate.ts';
import { ownerText } from './outcome-text.ts';
import type { Paint } from './paint.ts';

/** Nobody reads thousands; programs have them all. */
const longestList = 20;

/** One line for each endpoint; of very many those that are denied first, and how many more there are. */
export function branchLines(
  model: ClusterModel,
  branches: readonly InvestigatedBranch[],
  { paint, verbose }: { readonly paint: Paint; readonly verbose: boolean },
): readonly string[] {
  const isLong = !verbose && branches.length > longestList;
  const shown = isLong ? deniedFirst(branches).slice(0, longestList) : branches;
  const rest = isLong ? deniedFirst(branches).slice(longestList) : [];
  const rows = shown.map((branch) => {
    const { destination, destinationPort } = branch.journey.outcome.packet;
    const place = joinHostPort(destination, destinationPort ?? 0);
    return { percent: percentText(branch), place, name: ownerText(model, destination), branch };
  });
  const percentWidth = Math.max(6, ...rows.map(({ percent }) => percent.length));
  const width = Math.max(...rows.map(({ place }) => place.length));
  const nameWidth = Math.max(...rows.map(({ name }) => name.length));
  return [
    `One of ${branches.length} endpoints is chosen for ${whomText(model, branches)}:`,
    ...rows.map(
      ({ percent, place, name, branch }) =>
        `  ${percent.padStart(percentWidth)}  ${place.padEnd(width)}  ${name.padEnd(nameWidth)}  ${answerText(branch.verdict, paint)}`,
    ),
    ...(rest.length === 0 ? [] : [`  and ${rest.length} more: ${countText(rest)} (--verbose lists them)`]),
  ];
}

function deniedFirst(branches: readonly InvestigatedBranch[]): readonly InvestigatedBranch[] {
  return branches.toSorted((left, right) => Number(left.verdict === 'allowed') - Number(right.verdict === 'allowed'));
}

function countText(branches: readonly InvestigatedBranch[]): string {
  const allowed = branches.filter(({ verdict }) => verdict === 'allowed').length;
  const denied = branches.length - allowed;
  if (denied === 0) return 'all allowed';
  return allowed === 0 ? 'all denied' : `${allowed} allowed, ${denied} denied`;
}

/** With session affinity a client comes back to its endpoint. */
function whomText(model: ClusterModel, [first]: readonly InvestigatedBranch[]): string {
  const steps = first?.journey.hops.flatMap(({ trace }) => trace.path) ?? [];
  for (const step of steps) {
    if (step.kind !== 'rule' || !step.rule.matches.some(({ kind }) => kind === 'recent-set')) continue;
    const seconds = model.serviceCalled(step.rule.origin.object ?? '')?.sessionAffinitySeconds;
    if (seconds === undefined) continue;
    return `each client, which keeps it while its connections begin within ${seconds} s of each other (sessionAffinity ClientIP)`;
  }
  return 'each connection';
}

/** Two digits at least, however many endpoints there are. */
function percentText({ probability }: InvestigatedBranch): string {
  const percent = shareToNumber(probability) * 100;
  return `${percent < 1 ? percent.toPrecision(2) : percent.toFixed(1)}%`;
}

function answerText(verdict: Answer, paint: Paint): string {
  return verdict === 'allowed' ? paint.good(verdict) : paint.bad(verdict);
}
