/** Walks that meet `-m statistic` are repeated once for every way their choices can fall. */
import type { Share } from './share.ts';
import { complementOf, productOf, wholeShare } from './share.ts';

export interface Choices {
  /** Whether a rule of this probability matches in the present branch. */
  take(share: Share): boolean;
}

export interface Branch<T> {
  readonly probability: Share;
  readonly result: T;
}

/** Runs `walk` for every combination of choices, the matching side of each first. `walk` must be deterministic. */
export function everyBranch<T>(walk: (choices: Choices) => T): Branch<T>[] {
  const branches: Branch<T>[] = [];
  let decided: boolean[] = [];
  do {
    const script = new ScriptedChoices(decided);
    const result = walk(script);
    branches.push({ probability: script.probability, result });
    decided = nextScript(script.decided);
  } while (decided.length > 0);
  return branches;
}

/** Follows the decisions given, then says yes, and keeps what was decided. */
class ScriptedChoices implements Choices {
  readonly decided: boolean[];
  probability: Share = wholeShare;
  #next = 0;

  constructor(decided: readonly boolean[]) {
    this.decided = [...decided];
  }

  take(share: Share): boolean {
    if (share.numerator === 0n) return false;
    if (share.numerator === share.denominator) return true;
    const answer = this.decided[this.#next] ?? true;
    this.decided[this.#next] = answer;
    this.#next += 1;
    this.probability = productOf(this.probability, answer ? share : complementOf(share));
    return answer;
  }
}

/** The last yes becomes a no; what came after it is open again. Empty: every combination was walked. */
function nextScript(decided: readonly boolean[]): boolean[] {
  const last = decided.lastIndexOf(true);
  return last < 0 ? [] : [...decided.slice(0, last), false];
}
