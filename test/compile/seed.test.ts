import { expect, test } from 'vitest';
import { compileAll } from '../../src/compile/compiler.ts';
import { syntheticFacts } from '../../src/compile/synthetic-facts.ts';
import { ipSetRestoreText, iptablesRestoreText } from '../../src/dataplane/restore-text.ts';
import { seedListing, seedOptions, seedStore } from './seed-cluster.ts';

const store = seedStore();
const { dataplane, diagnostics } = compileAll(store, seedOptions, syntheticFacts(store, 'minikube'));
const lines = iptablesRestoreText(dataplane, 'ipv4').split('\n');

/** Chain and hash say which rule it is: the hash is over the rule's whole text and those before it. */
function identity(line: string): string {
  return /^-A (\S+) -m comment --comment "(cali:\S{16})"/.exec(line)?.slice(1).join(' ') ?? line.split(' ')[0] ?? '';
}

test.each(seedListing())('the listing has %s', (line) => {
  expect(lines.map(identity)).toContain(identity(line));
});

test('the listing is there to be compared with', () => {
  expect(seedListing().filter((line) => line.startsWith('-A'))).toHaveLength(10);
});

test("the policy's set holds the backend alone", () => {
  const members = ipSetRestoreText(dataplane)
    .split('\n')
    .filter((line) => line.startsWith('add cali40s:LrVD8vMIGQDyv8Y7sPFB1Ge '));
  expect(members).toEqual(['add cali40s:LrVD8vMIGQDyv8Y7sPFB1Ge 10.88.0.27']);
});

test('the interfaces are those of the listing, and nothing is amiss', () => {
  expect(lines).toContain(':cali-tw-cali505cfbeac50 - -');
  expect(lines).toContain(':cali-tw-cali2b1490aa46a - -');
  expect(diagnostics).toEqual([]);
});
