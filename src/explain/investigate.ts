/** What becomes of a connection: every way it can go, each followed to its end. */
import type { Branch } from '../dataplane/trace/branches.ts';
import { everyBranch } from '../dataplane/trace/branches.ts';
import { type Share, shareOf } from '../dataplane/trace/share.ts';
import type { ClusterModel } from './cluster-model.ts';
import type { Connection, Journey } from './journey.ts';
import { lastStep, travel } from './journey.ts';
import type { Preface } from './preface.ts';
import { prefacesOf } from './preface.ts';
import type { Impossible, Question } from './question.ts';
import { resolveQuestion } from './question.ts';

export type Answer = 'allowed' | 'denied';
export type How = 'drop' | 'reject' | 'no-endpoint' | 'unknown-address';

export interface InvestigatedBranch {
  readonly probability: Share;
  readonly connection: Connection;
  readonly journey: Journey;
  readonly verdict: Answer;
  /** Absent: allowed. */
  readonly how?: How;
}

export interface Investigation {
  readonly question: Question;
  /** Denied when any branch is. */
  readonly verdict: Answer;
  /** Of the first branch that is denied. */
  readonly how?: How;
  /** Empty where no packet can be sent: `impossible` says why. */
  readonly branches: readonly InvestigatedBranch[];
  readonly impossible?: Impossible;
  /** What comes before the first rule. */
  readonly prefaces: readonly Preface[];
}

/** Follows the first packet of the connection asked about, with every step kept. */
export function investigate(model: ClusterModel, question: Question): Investigation {
  const resolved = resolveQuestion(model, question);
  if (resolved.kind === 'impossible') {
    const prefaces = prefacesOf(model, question);
    return { question, verdict: 'denied', how: resolved.how, branches: [], impossible: resolved, prefaces };
  }
  const { connections } = resolved;
  const prefaces = prefacesOf(model, question, connections[0]);
  const branches = everyBranch((choices) => {
    const connection = chooseOne(connections, (probability) => choices.take(shareOf(probability)));
    return { connection, journey: travel(model, connection, { choices, record: true }) };
  }).map((branch) => judge(model, branch));
  const denied = branches.find(({ verdict }) => verdict === 'denied');
  if (denied?.how === undefined) return { question, verdict: 'allowed', branches, prefaces };
  return { question, verdict: 'denied', how: denied.how, branches, prefaces };
}

/** A connection whose answers are all that is asked: no steps, for tables of many. */
export function isAllowed(model: ClusterModel, connection: Connection): boolean {
  const branches = everyBranch((choices) => travel(model, connection, { choices }).outcome.kind === 'delivered');
  return branches.every(({ result }) => result);
}

/** The client takes one address of many, each as often as any other. */
function chooseOne<T>(candidates: readonly T[], take: (probability: number) => boolean): T {
  for (const [index, candidate] of candidates.entries()) {
    const rest = candidates.length - index;
    if (rest === 1 || take(1 / rest)) return candidate;
  }
  throw new Error('there is nothing to choose from');
}

type Walked = Pick<InvestigatedBranch, 'connection' | 'journey'>;

function judge(model: ClusterModel, { probability, result }: Branch<Walked>): InvestigatedBranch {
  const how = howDenied(model, result.journey);
  if (how === undefined) return { probability, ...result, verdict: 'allowed' };
  return { probability, ...result, verdict: 'denied', how };
}

function howDenied(model: ClusterModel, journey: Journey): How | undefined {
  const { outcome } = journey;
  if (outcome.kind === 'delivered') return undefined;
  if (outcome.kind === 'lost' || model.isNobodys(outcome.packet.destination)) return 'unknown-address';
  return hasNoEndpoint(journey) ? 'no-endpoint' : outcome.how;
}

/** kube-proxy says so in the comment of the rule that refuses. */
function hasNoEndpoint(journey: Journey): boolean {
  const step = lastStep(journey);
  if (step?.kind !== 'rule' || step.style !== 'kube') return false;
  return step.rule.comments.some((comment) => /has no (?:local )?endpoints/.test(comment));
}
