import { describe, expect, test } from 'vitest';
import { type Dataplane, DataplaneStore } from '../../src/dataplane/dataplane.ts';
import { DeltaBuilder } from '../../src/dataplane/delta-builder.ts';
import { chainName } from '../../src/dataplane/names.ts';
import type { Chain, Rule } from '../../src/dataplane/rule.ts';
import { drop, hook, ipSet, jump, rule } from './hand-made.ts';

const name = chainName('cali-x');
const chain = (...rules: Rule[]): Chain => ({ name, style: 'cali', rules });
const hooks = [hook('filter', 'INPUT', rule([], jump('cali-x')))];

/** A dataplane with one chain, one set and one hook. */
function present(): Dataplane {
  const store = new DataplaneStore();
  const builder = new DeltaBuilder(store);
  builder.putChain('ipv4', 'filter', chain(rule([], drop)));
  builder.putSet(ipSet('s', 'hash:ip', ['10.0.0.1', '10.0.0.2']));
  builder.putHooks('ipv4', hooks);
  store.apply(builder.finish());
  return store;
}

function deltaOf(change: (builder: DeltaBuilder) => void) {
  const builder = new DeltaBuilder(present());
  change(builder);
  return builder.finish();
}

test('what is as it was is no change', () => {
  const delta = deltaOf((builder) => {
    builder.putChain('ipv4', 'filter', chain(rule([], drop)));
    builder.putSet(ipSet('s', 'hash:ip', ['10.0.0.2', '10.0.0.1']));
    builder.putHooks('ipv4', hooks);
    builder.removeChain('ipv6', 'filter', name);
  });
  expect(delta).toEqual({ ipSets: [], chains: [], hooks: [] });
});

test('a chain that says something else, or for another reason, is a change', () => {
  const other = { ...rule([], drop), origin: { note: 'why' } };
  expect(deltaOf((builder) => builder.putChain('ipv4', 'filter', chain(rule([], jump('cali-y'))))).chains).toHaveLength(
    1,
  );
  expect(deltaOf((builder) => builder.putChain('ipv4', 'filter', chain(other))).chains).toHaveLength(1);
  expect(
    deltaOf((builder) => builder.putChain('ipv4', 'filter', chain(rule([], drop), rule([], drop)))).chains,
  ).toHaveLength(1);
});

test('the last word counts', () => {
  const delta = deltaOf((builder) => {
    builder.removeChain('ipv4', 'filter', name);
    builder.putChain('ipv4', 'filter', chain(rule([], drop)));
  });
  expect(delta.chains).toEqual([]);
  expect(deltaOf((builder) => builder.removeChain('ipv4', 'filter', name)).chains).toEqual([
    { family: 'ipv4', table: 'filter', name },
  ]);
});

describe('sets', () => {
  test('members come and go one by one', () => {
    const set = ipSet('s', 'hash:ip', ['10.0.0.2', '10.0.0.3']);
    expect(deltaOf((builder) => builder.putSet(set)).ipSets).toEqual([
      { kind: 'members', set, added: ['10.0.0.3'], removed: ['10.0.0.1'] },
    ]);
  });

  test('of another type it is a new set', () => {
    const set = ipSet('s', 'hash:net', ['10.0.0.1']);
    expect(deltaOf((builder) => builder.putSet(set)).ipSets).toEqual([{ kind: 'create', set }]);
  });
});

test('hooks change as a whole', () => {
  expect(deltaOf((builder) => builder.putHooks('ipv4', [])).hooks).toEqual([{ family: 'ipv4', hooks: [] }]);
});
