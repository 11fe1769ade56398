/** One object that cannot be rendered stays closed, is told of, and harms nobody. */
import { expect, test } from 'vitest';
import { bindEndpoints } from '../../src/compile/bound-endpoint.ts';
import { EndpointStage } from '../../src/compile/endpoint-stage.ts';
import { PolicyStage } from '../../src/compile/policy-stage.ts';
import { DataplaneStore } from '../../src/dataplane/dataplane.ts';
import { DeltaBuilder } from '../../src/dataplane/delta-builder.ts';
import { policyIngressChain } from '../../src/dataplane/names.ts';
import type { ActivePolicy, PlannedPeer, PolicyPlanDelta, WorkloadEndpoint } from '../../src/policy/plan.ts';
import { activePolicy, allow } from '../policy/chains-plans.ts';
import { pod } from '../policy/objects.ts';
import { factsOf, nodeOptions, routed } from './node.ts';

function fail(): never {
  throw new Error('broken on purpose');
}

function planOf(...policies: ActivePolicy[]): PolicyPlanDelta {
  return {
    policies: new Map(policies.map((policy) => [policy.id, policy])),
    endpoints: new Map(),
    profiles: new Map(),
    ipSets: [],
  };
}

test('a policy: its chain is there and allows nothing, until it can be rendered', () => {
  const brokenRule = {
    ...allow({}),
    get peer(): PlannedPeer {
      return fail();
    },
  };
  const good = activePolicy('a/knp.default.good', { ingress: [allow({})] });
  const bad = activePolicy('a/knp.default.bad', { ingress: [brokenRule, allow({})] });
  const stage = new PolicyStage(['ipv4']);
  const builder = new DeltaBuilder(new DataplaneStore());
  stage.apply(planOf(good, bad), builder);
  const rules = new Map(builder.finish().chains.map(({ name, chain }) => [name, chain?.rules.length]));
  expect(rules.get(policyIngressChain(good.id))).toBe(2);
  expect(rules.get(policyIngressChain(bad.id))).toBe(0);
  expect(stage.diagnostics).toEqual([
    {
      severity: 'error',
      object: 'NetworkPolicy a/bad',
      message: 'could not be rendered, and stays closed: broken on purpose',
    },
  ]);
  stage.apply(planOf(activePolicy(bad.id, { ingress: [] })), builder);
  expect(stage.diagnostics).toEqual([]);
});

test('an endpoint: its chains drop everything', () => {
  const own = pod('a/p', { ips: ['10.9.0.10'] });
  const planned: WorkloadEndpoint = { key: 'a/p', pod: own, ingress: [], egress: [], profiles: [] };
  const facts = factsOf([{ pod: own, binding: routed('veth1') }]);
  const { endpoints } = bindEndpoints(new Map([['a/p', planned]]), facts, ['ipv4']);
  const bound = endpoints.get('a/p') ?? fail();
  const broken = {
    ...bound,
    get profiles(): readonly string[] {
      return fail();
    },
  };
  const stage = new EndpointStage({ ...nodeOptions, ipFamilies: ['ipv4'] });
  const builder = new DeltaBuilder(new DataplaneStore());
  stage.apply(new Map([['a/p', broken]]), false, builder);
  const actions = builder
    .finish()
    .chains.map(({ name, chain }) => [name, chain?.rules.map(({ action }) => action.kind)]);
  expect(actions).toEqual([
    ['cali-fw-veth1', ['drop']],
    ['cali-tw-veth1', ['drop']],
  ]);
  expect(stage.diagnostics.map(({ object }) => object)).toEqual(['Pod a/p']);
});
