import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { maxAttempts } from '../../src/agent/agent.ts';
import type { DriftWatch } from '../../src/agent/drift-watch.ts';
import { endpointStatuses } from '../../src/agent/endpoint-status.ts';
import { CommandError } from '../../src/backends/exec.ts';
import type { ClusterChange } from '../../src/cluster/state.ts';
import { labels, pod, policy } from '../policy/objects.ts';
import { run, seedChanges, set, startAgent, stopAgent } from './agent-fixture.ts';
import type { StartedAgent } from './agent-fixture.ts';

let started: StartedAgent;
beforeEach(() => {
  started = startAgent();
});
afterEach(() => stopAgent(started));

const db = 'default/db-8d66ff5f7-bp6kf';
const dbAddress = '10.88.0.26';

function programmed(): Readonly<Record<string, boolean>> {
  const { agent } = started;
  const statuses = endpointStatuses(agent.desired.compiler, agent.kernel.programmed);
  return Object.fromEntries(statuses.map((status) => [status.pod, status.programmed]));
}

function messages(level: string): readonly unknown[] {
  return started.log.filter((line) => line.level === level).map((line) => line.msg);
}

/** A change of rules each time. */
function changedPolicy(round: number): ClusterChange {
  return set(policy('default/turn', { ingress: (round * 2) % 2 === 0 ? [] : [{ path: 'spec.ingress[0]' }] }));
}

async function bringUp(): Promise<void> {
  started.source.deliver({ changes: seedChanges(), synced: true, diagnostics: [] });
  await run(started);
}

describe('start', () => {
  test('112: nothing is read or written before the source is synced', async () => {
    started.source.deliver({ changes: seedChanges(), synced: false });
    await run(started, 10_000);
    expect(started.kernel.calls).toEqual([]);
    expect(started.readiness.isReady).toBe(false);
  });

  test('a source that is not complete says why, and the rules of an agent before stay byte for byte', async () => {
    await bringUp();
    const rules = started.kernel.table('ip', 'filter').save();
    const members = [...(started.kernel.sets.get('cali40programmed')?.members ?? [])];
    const second = startAgent(started.kernel);
    const why = { severity: 'error', object: '', message: 'not YAML', file: 'policies.yaml', line: 3 } as const;
    second.source.deliver({ changes: [], synced: false, diagnostics: [why] });
    await run(second, 100_000);
    expect(started.kernel.table('ip', 'filter').save()).toBe(rules);
    expect([...(started.kernel.sets.get('cali40programmed')?.members ?? [])]).toEqual(members);
    expect(second.readiness.parts[0]?.reason).toContain('policies.yaml:3: not YAML');
    expect(second.agent.diagnostics).toEqual([why]);
    expect(second.log).toMatchObject([{ level: 'error', message: 'not YAML', file: 'policies.yaml', line: 3 }]);
    await stopAgent(second);
  });

  test('then everything is written, and the agent is ready', async () => {
    await bringUp();
    expect(started.kernel.table('ip', 'filter').save()).toContain('cali-pi-_tTE-E7yY40ogArNVgKt');
    expect(started.readiness.parts).toEqual([{ part: 'source' }, { part: 'node' }, { part: 'kernel' }]);
    expect(Object.values(programmed())).toEqual([true, true, true]);
    expect(messages('info')).toEqual(['dataplane applied']);
  });

  test('a second agent on the same kernel writes nothing', async () => {
    await bringUp();
    const before = started.kernel.writes.length;
    const second = startAgent(started.kernel);
    second.source.deliver({ changes: seedChanges(), synced: true });
    await run(second);
    expect(second.readiness.isReady).toBe(true);
    expect(started.kernel.writes.length).toBe(before);
    expect(second.log).toEqual([]);
    await stopAgent(second);
  });
});

describe('at rest', () => {
  test('hours of comparing write nothing and log nothing', async () => {
    await bringUp();
    const { length } = started.kernel.writes;
    const lines = started.log.length;
    for (let round = 0; round < 5; round += 1) await run(started, 90_000).then(() => run(started));
    expect(started.kernel.writes.length).toBe(length);
    expect(started.log.length).toBe(lines);
    expect(started.agent.kernel.driftRepairs).toBe(0);
  });

  test('stopping leaves every rule', async () => {
    await bringUp();
    const before = started.kernel.table('ip', 'filter').save();
    await stopAgent(started);
    expect(started.kernel.table('ip', 'filter').save()).toBe(before);
  });
});

describe('changes', () => {
  test('a policy is in the kernel within one run, and its latency is counted', async () => {
    await bringUp();
    started.source.deliver({
      changes: [set(policy('default/closed', { podSelector: labels({ app: 'frontend' }), ingress: [] }))],
      synced: true,
    });
    await run(started);
    expect(started.agent.kernel.appliedRevision).toBe(started.agent.state.revision);
    const statuses = endpointStatuses(started.agent.desired.compiler, started.agent.kernel.programmed);
    expect(statuses.find((status) => status.pod.includes('frontend'))?.ingress).toEqual(['default/knp.default.closed']);
    const latency = await started.metrics.registry.getSingleMetricAsString('sluice_programming_latency_seconds');
    expect(latency).toContain('sluice_programming_latency_seconds_count{kind="NetworkPolicy"} 2');
  });

  test('a pod without an interface waits, and is programmed when its link appears', async () => {
    started.node.hidden.add(dbAddress);
    await bringUp();
    expect(programmed()[db]).toBe(false);
    started.node.hidden.clear();
    started.node.change();
    await run(started);
    expect(programmed()[db]).toBe(true);
  });

  test('a new pod of this node is looked for at once', async () => {
    await bringUp();
    started.source.deliver({
      changes: [set(pod('default/late', { ips: ['10.88.0.99'], labels: {}, node: 'minikube' }))],
      synced: true,
    });
    await run(started);
    expect(programmed()['default/late']).toBe(true);
  });

  test('link events that change nothing write nothing', async () => {
    await bringUp();
    const { length } = started.kernel.writes;
    for (let event = 0; event < 20; event += 1) started.node.change();
    await run(started);
    await run(started);
    expect(started.kernel.writes.length).toBe(length);
    expect(started.node.reads).toBeLessThan(5);
  });
});

describe('diagnostics', () => {
  const mistake = { severity: 'error', object: 'NetworkPolicy default/x', message: 'port is missing' } as const;

  test('a mistake is logged once when it appears and once when it is mended', async () => {
    started.source.deliver({ changes: seedChanges(), synced: true, diagnostics: [mistake] });
    await run(started);
    await run(started, 90_000);
    await run(started);
    expect(messages('error')).toEqual(['object was not understood']);
    started.source.deliver({ changes: [], synced: true, diagnostics: [] });
    await run(started);
    expect(messages('info')).toContain('mistake was mended');
    expect(started.agent.diagnostics).toEqual([]);
  });

  test('what the kernel refuses is told, and everything else works on', async () => {
    started.kernel.refuses = (rule) => rule.includes('cali40s:LrVD8vMIGQDyv8Y7sPFB1Ge');
    await bringUp();
    expect(started.agent.diagnostics).toMatchObject([
      { severity: 'error', object: 'NetworkPolicy default/allow-db-access' },
    ]);
    expect(started.readiness.isReady).toBe(true);
    expect(programmed()['default/frontend-8b474f47-zdqdv']).toBe(true);
  });

  test.each([
    ['a chain that every packet passes', '--jump cali-self', 'ipv4 filter cali-FORWARD'],
    ['a hook', '--jump cali-PREROUTING', 'ipv4 raw PREROUTING'],
  ])('what all packets depend on is refused (%s): not ready, until the kernel takes it', async (_what, rule, place) => {
    started.kernel.refuses = (text) => text.includes(rule);
    await bringUp();
    expect(started.readiness.parts[2]?.reason).toContain(`the kernel refused ${place}`);
    started.kernel.refuses = () => false;
    await run(started, 90_000);
    await run(started);
    expect(started.readiness.isReady).toBe(true);
  });
});

describe('drift', () => {
  const chain = 'cali-pi-_tTE-E7yY40ogArNVgKt';

  function emptyChain(): Promise<unknown> {
    const input = `*filter\n:${chain} - -\nCOMMIT\n`;
    return started.kernel.run(['iptables-nft-restore', '--noflush'], { input });
  }

  function saved(): string {
    return started.kernel.table('ip', 'filter').save();
  }

  test.each([
    ['small', 2_000, 'before it'],
    ['large', 5, 'its end'],
  ])('a %s first write: rules are followed from before it, or from its end', async (_size, watchedChains, since) => {
    let writesBefore: number | undefined;
    const drift: DriftWatch = {
      async *changes(signal) {
        writesBefore = other.kernel.writes.length;
        yield [];
        await new Promise((resolve) => {
          signal.addEventListener('abort', resolve, { once: true });
        });
      },
      isFollowing: true,
      look: () => Promise.resolve({ tables: [], ipSets: false }),
    };
    const other = startAgent(undefined, { drift, watchedChains });
    other.source.deliver({ changes: seedChanges(), synced: true, diagnostics: [] });
    await run(other);
    expect(other.readiness.isReady).toBe(true);
    expect(other.kernel.writes.length).toBeGreaterThan(0);
    expect(writesBefore).toBe(since === 'its end' ? other.kernel.writes.length : 0);
    await stopAgent(other);
  });

  test('what somebody removed comes back at the next compare, with a count and a line', async () => {
    await bringUp();
    const before = saved();
    await emptyChain();
    expect(saved()).not.toBe(before);
    await run(started, 90_000);
    for (let part = 0; part < 4; part += 1) await run(started);
    expect(saved()).toBe(before);
    expect(started.agent.kernel.driftRepairs).toBe(1);
    expect(messages('warn')).toEqual(['drift was mended']);
    expect(started.log.at(-1)).toMatchObject({ part: 'drift', object: `ipv4 filter chain ${chain}`, before: 'empty' });
  });

  test('where rules have events, it comes back at once, and no other table is read', async () => {
    await bringUp();
    const before = saved();
    const calls = started.kernel.calls.length;
    await emptyChain();
    started.drift.change('filter');
    await run(started);
    expect(saved()).toBe(before);
    const read = started.kernel.calls.slice(calls).filter(({ argv }) => argv[0].endsWith('-save'));
    expect(read.map(({ argv }) => argv.slice(1))).toEqual([['-t', 'filter']]);
  });

  test('a storm of events is a few compares', async () => {
    await bringUp();
    const calls = started.kernel.calls.length;
    for (let event = 0; event < 200; event += 1) started.drift.change('filter');
    for (let turn = 0; turn < 10; turn += 1) await run(started, 20);
    expect(started.kernel.calls.length - calls).toBeLessThan(8);
  });

  /** Each compiles. */
  async function loopRuns(): Promise<string | undefined> {
    const text = await started.metrics.registry.metrics();
    return /^sluice_compile_duration_seconds_count (\d+)$/m.exec(text)?.[1];
  }

  test('a set has no events: the cheap look finds it', async () => {
    await bringUp();
    const name = 'cali40s:LrVD8vMIGQDyv8Y7sPFB1Ge';
    await started.kernel.run(['ipset', 'restore'], { input: `del ${name} 10.88.0.27\n` });
    await run(started, 5000);
    await run(started);
    const { stdout } = await started.kernel.run(['ipset', 'save', name]);
    expect(stdout).toContain(`add ${name} 10.88.0.27\n`);
    expect(started.agent.kernel.driftRepairs).toBe(1);
  });

  test('a set that the kernel holds longer than its last rule is destroyed by the next look, and is no drift', async () => {
    await bringUp();
    const { kernel } = started;
    const name = 'cali40s:LrVD8vMIGQDyv8Y7sPFB1Ge';
    kernel.heldSets = 1;
    const gone = { type: 'delete', kind: 'NetworkPolicy', key: 'default/allow-db-access' } as const;
    started.source.deliver({ changes: [gone], synced: true });
    await run(started);
    expect(kernel.heldSets).toBe(1);
    // A second for the rules, and another for their set.
    for (let second = 0; second < 2; second += 1) await run(started, 1000).then(() => run(started));
    expect(kernel.heldSets).toBe(0);
    expect(kernel.sets.has(name, 'inet')).toBe(true);
    await run(started, 5000);
    await run(started);
    expect(kernel.sets.has(name, 'inet')).toBe(false);
    expect(started.agent.kernel.driftRepairs).toBe(0);
  });

  test('what a change leaves behind stays in a burst, ten seconds at most, and goes a second after it', async () => {
    await bringUp();
    const { kernel, source, drift, agent } = started;
    const [name] = [...saved().matchAll(/^:(cali-pi-\S+)/gm)].map(([, found]) => found ?? '');
    const gone = { type: 'delete', kind: 'NetworkPolicy', key: 'default/allow-db-access' } as const;
    source.deliver({ changes: [gone], synced: true });
    await run(started);
    const hasOld = (): boolean => kernel.table('ip', 'filter').chain(name ?? '') !== undefined;
    expect(hasOld()).toBe(true);
    let seconds = 0;
    for (; hasOld() && seconds < 30; seconds += 0.5) {
      source.deliver({ changes: [changedPolicy(seconds)], synced: true });
      await run(started);
      await run(started, 500);
    }
    expect(seconds).toBeGreaterThan(9);
    expect(seconds).toBeLessThan(12);
    await run(started);
    source.deliver({ changes: [changedPolicy(99)], synced: true });
    await run(started);
    expect(agent.kernel.hasLeftovers).toBe(true);
    await run(started, 900);
    expect(agent.kernel.hasLeftovers).toBe(true);
    await run(started, 200);
    await run(started);
    expect(saved()).not.toContain('-j RETURN\n');
    expect(agent.kernel.driftRepairs).toBe(0);
    drift.change('filter');
    await run(started);
    expect(agent.kernel.driftRepairs).toBe(0);
  });

  test('the look reads no rules and writes nothing while all is well', async () => {
    await bringUp();
    const calls = started.kernel.calls.length;
    const runs = await loopRuns();
    for (let look = 0; look < 4; look += 1) await run(started, 5000).then(() => run(started));
    expect(await loopRuns()).toBe(runs);
    const since = started.kernel.calls.slice(calls).map(({ argv }) => argv.join(' '));
    expect(started.drift.looks).toBeGreaterThan(2);
    expect(new Set(since)).toEqual(new Set(['ipset list -t']));
  });
});

describe('failures', () => {
  const killed = new CommandError({ argv: ['iptables-nft-restore'], exitCode: 137, stderr: 'killed' });

  function failAll(times: number): void {
    for (let time = 0; time < times; time += 1) started.kernel.failNext(/restore/, killed);
  }

  test('a failed write is tried again by itself until everything is in', async () => {
    failAll(3);
    await bringUp();
    expect(started.readiness.parts.find(({ part }) => part === 'kernel')?.reason).toContain('killed');
    for (let round = 0; round < 6; round += 1) await run(started, 1000);
    expect(started.readiness.isReady).toBe(true);
    expect(Object.values(programmed())).toEqual([true, true, true]);
    expect(started.agent.lastFailure).toBeUndefined();
    expect(started.agent.failures).toBeGreaterThan(0);
  });

  test('a change whose write fails is not lost', async () => {
    await bringUp();
    failAll(4);
    started.source.deliver({
      changes: [set(policy('default/closed', { podSelector: labels({ app: 'frontend' }), ingress: [] }))],
      synced: true,
    });
    await run(started);
    expect(programmed()['default/frontend-8b474f47-zdqdv']).toBe(false);
    for (let round = 0; round < 6; round += 1) await run(started, 1000);
    expect(programmed()['default/frontend-8b474f47-zdqdv']).toBe(true);
    expect(started.agent.kernel.driftRepairs).toBe(0);
  });

  test('what fails again and again ends the agent, and readiness names the part', async () => {
    failAll(1000);
    await bringUp();
    for (let round = 0; round < maxAttempts * 2; round += 1) await run(started, 10_000);
    expect(await started.ended).toBe(killed);
    expect(started.readiness.parts.find(({ part }) => part === 'kernel')?.reason).toContain(`${maxAttempts} times`);
  });
});
