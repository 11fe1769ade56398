/** An investigation for people: the way of the packet, the verdict, and for a refusal what would have to change. */

import type { TraceStep } from '../dataplane/trace/step.ts';
import { stepHash } from '../dataplane/trace/step.ts';
import type { IpAddress } from '../lib/ip.ts';
import { branchLines } from './branch-text.ts';
import type { ClusterModel } from './cluster-model.ts';
import { explainedStep } from './explain.ts';
import type { How, InvestigatedBranch, Investigation } from './investigate.ts';
import { lastStep, type Origin } from './journey.ts';
import { nameOfParty } from './names.ts';
import { outcomeText, ownerText } from './outcome-text.ts';
import { noEndpointLines } from './no-endpoint-text.ts';
import type { Paint } from './paint.ts';
import { plainPaint } from './paint.ts';
import { refusalLines } from './refusal-text.ts';
import { unusedLines } from './unused-text.ts';
import { isVisible } from './visible-steps.ts';

export interface TextOptions {
  /** Absent: no colours. */
  readonly paint?: Paint;
  /** Every rule that matched, not only those that tell something. */
  readonly verbose?: boolean;
}

/** Ends with a line break. */
export function renderExplanation(
  model: ClusterModel,
  investigation: Investigation,
  { paint = plainPaint, verbose = false }: TextOptions = {},
): string {
  const { branches, impossible, verdict, prefaces } = investigation;
  const shown = branches.find((branch) => branch.verdict === verdict);
  const lines = [paint.strong(titleOf(model, investigation, shown)), ''];
  if (prefaces.length > 0) lines.push(...prefaces.map(({ reason }) => reason), '');
  if (branches.length > 1) lines.push(...branchLines(model, branches, { paint, verbose }), '');
  const unused = shown === undefined ? [] : unusedLines(model, shown);
  if (unused.length > 0) lines.push(...unused, '');
  if (shown !== undefined) lines.push(...hopLines(model, shown, { paint, verbose }));
  lines.push(`${verdictText(investigation, paint)}: ${impossible?.reason ?? endText(model, shown)}`);
  if (shown !== undefined) lines.push(...refusalLines(model, shown, paint), ...noEndpointLines(model, shown));
  return `${lines.join('\n')}\n`;
}

/** Where a refusal is to be found in `iptables-save`; how it ended otherwise. */
function endText(model: ClusterModel, branch: InvestigatedBranch | undefined): string {
  if (branch === undefined) return 'nobody to send to';
  const step = lastStep(branch.journey);
  const text = outcomeText(model, branch);
  if (branch.journey.outcome.kind !== 'refused' || step?.kind !== 'rule') return text;
  const hash = stepHash(step);
  const place = `rule ${step.index + 1} of chain ${step.chain}, table ${step.table}`;
  return `${text}\n  by ${place}${hash === undefined ? '' : `, comment cali:${hash}`}`;
}

function titleOf(model: ClusterModel, { question }: Investigation, branch: InvestigatedBranch | undefined): string {
  const { from, to } = question;
  const name = nameOfParty(to.party);
  const target = `${name} port ${to.port}/${to.protocol}`;
  if (branch === undefined) return `${nameOfParty(from)} to ${target}`;
  const { connection } = branch;
  return `${nameOfParty(from)}${originText(connection.from)} to ${target}${destinationText(model, name, connection.to)}`;
}

function originText(origin: Origin): string {
  return origin.kind === 'outside' ? ` (${origin.address})` : ` (${origin.address} on ${origin.node})`;
}

function destinationText(model: ClusterModel, name: string, address: IpAddress): string {
  const owner = model.ownerOf(address);
  const place = owner?.kind === 'pod' && owner.pod.nodeName !== undefined ? ` on ${owner.pod.nodeName}` : '';
  if (name === address) return place === '' ? '' : ` (${ownerText(model, address)}${place})`;
  return ` (${address}${place})`;
}

function hopLines(
  model: ClusterModel,
  { journey }: InvestigatedBranch,
  options: Required<TextOptions>,
): readonly string[] {
  const said = new Set<string>();
  return journey.hops.flatMap(({ node, trace }) => {
    const steps = trace.path.filter((step) => options.verbose || isVisible(step));
    const places = groupByPlace(steps);
    const body = places.flatMap(({ title, own }) => [
      `  ${title}`,
      ...stepLines(own, { model, node, paint: options.paint, said }),
    ]);
    const quiet = ['  no rule that decides anything'];
    return [options.paint.strong(`node ${node}`), ...(body.length === 0 ? quiet : body), ''];
  });
}

/** Steps of one table at one hook, as they follow each other. */
function groupByPlace(steps: readonly TraceStep[]): readonly { readonly title: string; readonly own: TraceStep[] }[] {
  const groups: { readonly title: string; readonly own: TraceStep[] }[] = [];
  for (const step of steps) {
    const title = `${step.hook}, table ${step.table}`;
    const last = groups.at(-1);
    if (last?.title === title) last.own.push(step);
    else groups.push({ title, own: [step] });
  }
  return groups;
}

interface StepContext {
  readonly model: ClusterModel;
  readonly node: string;
  readonly paint: Paint;
  /** What asked for rules, as said before: its file is named once. Filled as steps are written. */
  readonly said: Set<string>;
}

function stepLines(steps: readonly TraceStep[], { model, node, paint, said }: StepContext): readonly string[] {
  const rows = steps.map((step) => {
    const { chain = '', rule, action, reason, object, path, file, line } = explainedStep(model, node, step);
    const asked = path === undefined ? '' : ` (${sourceText({ object, path, file, line }, said)})`;
    return { chain: rule === undefined ? chain : `${chain} ${rule}`, action, text: `${reason}${asked}`, step };
  });
  const chainWidth = Math.max(...rows.map(({ chain }) => chain.length));
  const actionWidth = Math.max(...rows.map(({ action }) => action.length));
  return rows.map(({ chain, action, text, step }) => {
    const padded = action.padEnd(actionWidth);
    return `    ${chain.padEnd(chainWidth)}  ${isRefusing(step) ? paint.bad(padded) : padded}  ${paint.faint(text)}`;
  });
}

function isRefusing(step: TraceStep): boolean {
  return step.kind === 'rule' && (step.rule.action.kind === 'drop' || step.rule.action.kind === 'reject');
}

interface SourceText {
  readonly object: string | undefined;
  readonly path: string;
  readonly file: string | undefined;
  readonly line: number | undefined;
}

function sourceText({ object, path, file, line }: SourceText, said: Set<string>): string {
  const name = `${object === undefined ? '' : `${object} `}${path}`;
  if (file === undefined || said.has(name)) return name;
  said.add(name);
  return `${name}, ${file}${line === undefined ? '' : `:${line}`}`;
}

function verdictText({ verdict, how }: Investigation, paint: Paint): string {
  if (verdict === 'allowed') return paint.good('ALLOWED');
  return paint.bad(`DENIED${how === undefined ? '' : ` (${howText(how)})`}`);
}

function howText(how: How): string {
  const words: Readonly<Record<How, string>> = {
    drop: 'the connection times out',
    reject: 'the connection is refused',
    'no-endpoint': 'no endpoint',
    'unknown-address': 'nobody is there',
  };
  return words[how];
}
