/** The command line of `npm run e2e`. */
import { parseArgs } from 'node:util';
import type { CniKind } from './cluster/node-config.ts';
import type { Proxy } from './suites/suite.ts';
import { suites } from './suites/table.ts';

export interface Options {
  readonly command: 'test' | 'up' | 'down';
  readonly isFull: boolean;
  /** Names in the table of suites; all of them by default. */
  readonly suites: readonly string[];
  readonly cnis: readonly CniKind[];
  readonly focus?: string;
  /** A cluster that is there already. */
  readonly kubeconfig?: string;
  /** Leave the cluster as it is in the end. */
  readonly keep: boolean;
  readonly proxy: Proxy;
  readonly processes: number;
  /** Takes one row for each case, as JSON. */
  readonly json?: string;
}

export const usage = `npm run e2e -- [OPTIONS]
  --full              everything, not the fixed part
  --suite NAME        ${suites.map(({ name }) => name).join(' | ')}; may be given several times
  --cni ptp|bridge    only on this CNI
  --focus REGEX       only cases whose name matches
  --kubeconfig FILE   on this cluster, with what is installed there; none is built
  --keep              leave the cluster in the end, until the next run or \`node e2e/run.ts down\`
  --proxy NAME        sluice | kube-proxy | none: what serves the cluster that is built (default sluice)
  --json FILE         writes each case with its result there (node e2e/report.ts FILE... makes tables of them)
  --processes N       how many of upstream's test programs share the specs of a suite (default 2)
node e2e/run.ts up [--cni ptp|bridge] [--proxy NAME]     a cluster to look at
node e2e/run.ts down                                     takes it away`;

/** Throws Error with one line that says what is wrong. */
export function readOptions(args: readonly string[]): Options {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      full: { type: 'boolean', default: false },
      suite: { type: 'string', multiple: true },
      cni: { type: 'string' },
      focus: { type: 'string' },
      kubeconfig: { type: 'string' },
      keep: { type: 'boolean', default: false },
      proxy: { type: 'string', default: 'sluice' },
      json: { type: 'string' },
      processes: { type: 'string', default: '2' },
    },
  });
  const [command = 'test', ...rest] = positionals;
  if (rest.length > 0) throw new Error(`unexpected argument ${rest.join(' ')}`);
  return {
    command: oneOf('command', command, ['test', 'up', 'down'] as const),
    isFull: values.full,
    suites: (values.suite ?? suites.map(({ name }) => name)).map((name) => suiteName(name)),
    cnis: values.cni === undefined ? ['ptp', 'bridge'] : [oneOf('--cni', values.cni, ['ptp', 'bridge'] as const)],
    ...(values.focus === undefined ? {} : { focus: values.focus }),
    ...(values.kubeconfig === undefined ? {} : { kubeconfig: values.kubeconfig }),
    keep: values.keep,
    proxy: oneOf('--proxy', values.proxy, ['sluice', 'kube-proxy', 'none'] as const),
    ...(values.json === undefined ? {} : { json: values.json }),
    processes: countOf('--processes', values.processes),
  };
}

function suiteName(name: string): string {
  return oneOf(
    '--suite',
    name,
    suites.map((suite) => suite.name),
  );
}

function countOf(what: string, value: string): number {
  if (!/^[1-9]$/.test(value)) throw new Error(`${what} ${value}: expected a number from 1 to 9`);
  return Number(value);
}

function oneOf<Choice extends string>(what: string, value: string, choices: readonly Choice[]): Choice {
  const choice = choices.find((candidate) => candidate === value);
  if (choice === undefined) throw new Error(`${what} ${value}: expected ${choices.join(', ')}`);
  return choice;
}
