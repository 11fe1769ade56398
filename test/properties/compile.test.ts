/** Whatever happens to a cluster, and in whatever order: the incremental way arrives where the way from scratch does. */
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { type ClusterChange, type ClusterState, ClusterStore } from '../../src/cluster/state.ts';
import { type Compilation, compileAll, Compiler } from '../../src/compile/compiler.ts';
import type { CompileOptions } from '../../src/compile/options.ts';
import { type Dataplane, type DataplaneDelta, DataplaneStore, tableNames } from '../../src/dataplane/dataplane.ts';
import type { NodeFacts } from '../../src/dataplane/endpoint-binding.ts';
import type { Chain, IpSet, Rule } from '../../src/dataplane/rule.ts';
import { renderChain } from '../../src/dataplane/render.ts';
import { cidr } from '../policy/objects.ts';
import { someHistory } from '../policy/arbitrary.ts';
import { nodeObject } from '../compile/node.ts';
import { someFacts, someOptions } from './arbitrary-node.ts';

/** Steps: changes of the cluster, and now and then of the node itself. */
const someLife = fc.record({
  options: someOptions,
  history: someHistory,
  facts: fc.infiniteStream(fc.option(someFacts, { nil: undefined })),
});

/** A copy: the dataplane itself is live. */
function snapshot(dataplane: Dataplane) {
  const sets = [...dataplane.ipSets.values()].map(({ members, ...set }) => ({ ...set, members: [...members].sort() }));
  const chains = (['ipv4', 'ipv6'] as const).flatMap((family) =>
    tableNames.flatMap((table) =>
      [...dataplane.tables[family].chains[table].values()].map((chain) => ({ family, table, ...chain })),
    ),
  );
  return {
    sets: sets.sort((left, right) => (left.name < right.name ? -1 : 1)),
    chains: chains
      .map((chain) => ({ place: `${chain.family} ${chain.table} ${chain.name}`, ...chain }))
      .sort((left, right) => (left.place < right.place ? -1 : 1)),
    hooks: [dataplane.tables.ipv4.hooks, dataplane.tables.ipv6.hooks],
  };
}

/** The same objects, told in another order. */
function retold(state: ClusterState): ClusterStore {
  const objects = [
    ...state.networkPolicies.values(),
    ...state.pods.values(),
    ...state.nodes.values(),
    ...state.namespaces.values(),
  ];
  const store = new ClusterStore();
  for (const object of objects.toReversed()) store.apply([{ type: 'set', object }]);
  return store;
}

/** Lives through a history; `onStep` sees the compiler after each of its steps. */
function live(
  {
    options,
    history,
    facts,
  }: {
    options: CompileOptions;
    history: readonly (readonly ClusterChange[])[];
    facts: Iterable<NodeFacts | undefined>;
  },
  onStep: (compiler: Compiler, delta: DataplaneDelta) => void = () => undefined,
): { readonly compiler: Compiler; readonly fromScratch: () => Compilation } {
  const store = new ClusterStore();
  store.apply([{ type: 'set', object: { ...nodeObject, podCidrs: [cidr('10.0.0.0/24'), cidr('fd00::/64')] } }]);
  const compiler = new Compiler(store, options);
  let present: NodeFacts = { bindings: new Map(), nodeAddresses: [], conntrackLiberal: false };
  const news = facts[Symbol.iterator]();
  for (const changes of history) {
    const found: NodeFacts | undefined = news.next().value;
    if (found !== undefined) present = found;
    onStep(compiler, compiler.apply(store.apply(changes), present).delta);
  }
  return { compiler, fromScratch: () => compileAll(retold(store), options, present) };
}

test('incremental equals from scratch', () => {
  fc.assert(
    fc.property(someLife, (life) => {
      const { compiler, fromScratch } = live(life);
      const expected = fromScratch();
      expect(snapshot(compiler.dataplane)).toEqual(snapshot(expected.dataplane));
      expect([...compiler.endpoints.keys()]).toEqual([...expected.endpoints.keys()]);
      expect(compiler.apply([]).diagnostics).toEqual(expected.diagnostics);
    }),
    { numRuns: 150 },
  );
}, 120_000);

test('applying the deltas one after the other gives the dataplane', () => {
  fc.assert(
    fc.property(someLife, (life) => {
      const mirror = new DataplaneStore();
      const members = new Map<string, Set<string>>();
      const { compiler } = live(life, (_compiler, delta) => {
        mirror.apply(delta);
        for (const change of delta.ipSets) {
          if (change.kind === 'remove') members.delete(change.name);
          else if (change.kind === 'create') members.set(change.set.name, new Set(change.set.members));
          else {
            for (const member of change.removed) expect(members.get(change.set.name)?.delete(member)).toBe(true);
            for (const member of change.added) members.get(change.set.name)?.add(member);
          }
        }
      });
      expect(snapshot(mirror)).toEqual(snapshot(compiler.dataplane));
      const sets = [...compiler.dataplane.ipSets].map(([name, set]) => [name, new Set(set.members)] as const);
      expect(members).toEqual(new Map(sets));
    }),
    { numRuns: 100 },
  );
}, 120_000);

test('names are within the limits, and no rule refers to what is not there', () => {
  fc.assert(
    fc.property(someLife, (life) => {
      live(life, (compiler) => expect(problemsOf(compiler.dataplane)).toEqual([]));
    }),
    { numRuns: 60 },
  );
}, 120_000);

function problemsOf({ ipSets, tables }: Dataplane): readonly string[] {
  const longSets = [...ipSets.keys()].filter((name) => name.length > 31).map((name) => `${name}: longer than 31`);
  const places = Object.values(tables).flatMap(({ chains, hooks }) =>
    tableNames.map((table) => ({
      chains: chains[table],
      hooks: hooks.filter((hook) => hook.table === table).map((hook) => hook.rule),
    })),
  );
  return [
    ...longSets,
    ...places.flatMap(({ chains, hooks }) => [...chainProblems(chains), ...dangling(chains, hooks, ipSets)]),
  ];
}

function chainProblems(chains: ReadonlyMap<string, Chain>): readonly string[] {
  const tooLong = [...chains.keys()].filter((name) => name.length > 28).map((name) => `${name}: longer than 28`);
  // Two rules with one hash would be told apart by nobody.
  const twice = [...chains.values()].filter((chain) => {
    const lines = renderChain(chain);
    return new Set(lines).size !== lines.length;
  });
  return [...tooLong, ...twice.map(({ name }) => `${name}: a rule twice`)];
}

function dangling(
  chains: ReadonlyMap<string, Chain>,
  hooks: readonly Rule[],
  ipSets: ReadonlyMap<string, IpSet>,
): readonly string[] {
  const rules = [...[...chains.values()].flatMap((chain) => chain.rules), ...hooks];
  const targets = rules.flatMap(({ action }) =>
    action.kind === 'jump' || action.kind === 'goto' ? [action.chain] : [],
  );
  const sets = rules.flatMap(({ matches }) => matches.flatMap((match) => (match.kind === 'ipset' ? [match.set] : [])));
  return [
    ...targets.filter((name) => !chains.has(name)).map((name) => `no chain ${name}`),
    ...sets.filter((name) => !ipSets.has(name)).map((name) => `no set ${name}`),
  ];
}
