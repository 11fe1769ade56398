/** Sums up the cases of all suites. */
import type { CaseResult } from './suites/suite.ts';

/** `label` is the suite, with what it ran on: `netpol (ptp, sluice)`. */
export type ResultRow = CaseResult & { readonly label: string };

export class Results {
  readonly #cases: { readonly label: string; readonly result: CaseResult }[] = [];

  add(label: string, results: readonly CaseResult[]): void {
    for (const result of results) this.#cases.push({ label, result });
  }

  /** What kept a suite from running counts as one failed case. */
  addFailure(label: string, message: string): void {
    this.add(label, [{ name: 'the suite runs', outcome: 'failed', seconds: 0, message }]);
  }

  get failed(): number {
    return this.#count('failed');
  }

  /** Nothing failed, and something was tested. */
  get isGreen(): boolean {
    return this.failed === 0 && this.#count('passed') > 0;
  }

  failures(): readonly string[] {
    return this.#cases
      .filter(({ result }) => result.outcome === 'failed')
      .map(({ label, result }) => `FAILED ${label}: ${result.name}: ${(result.message ?? '').split('\n')[0] ?? ''}`);
  }

  /** One row for each case, as `e2e/report.ts` reads them. */
  rows(): readonly ResultRow[] {
    return this.#cases.map(({ label, result }) => ({ label, ...result }));
  }

  countOf(label: string): string {
    return this.#line(this.#cases.filter((entry) => entry.label === label));
  }

  summary(): string {
    return this.#line(this.#cases);
  }

  #line(cases: readonly { readonly result: CaseResult }[]): string {
    const count = (outcome: CaseResult['outcome']): number =>
      cases.filter(({ result }) => result.outcome === outcome).length;
    return `${count('passed')} passed, ${count('failed')} failed, ${count('skipped')} skipped`;
  }

  #count(outcome: CaseResult['outcome']): number {
    return this.#cases.filter(({ result }) => result.outcome === outcome).length;
  }
}
