/** An agent with nothing to do does nothing: it starts no program, writes nothing, and hardly wakes; what somebody else does to a set is seen all the same. */
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { askAgent } from '../../src/lab/ask-agent.ts';
import { pause } from '../../src/lab/run-directory.ts';
import { AgentProcess, type AgentPlace, cleanNode, placeInLab } from './agent-process.ts';
import { handlesOf, imageOf, lastingImageOf } from './kernel-image.ts';
import { testLab, type TestLab, untilTrue } from './lab-fixture.ts';
import { describeKernel } from './netns.ts';
import { inside } from './raw-packets.ts';
import { trapManifests } from './trap-cluster.ts';

const realPath = process.env['PATH'] ?? '';
const restMs = 20_000;
/** Ten looks, each some waits for a timer and for ipset, and V8's own threads; a timer of 10 ms alone would be 2,000. */
const mostWakes = 800;
const programs = [
  ...['iptables', 'ip6tables'].flatMap((name) => ['', '-save', '-restore'].map((verb) => `${name}-nft${verb}`)),
  'bridge',
  'cat',
  'conntrack',
  'ip',
  'ipset',
  'nft',
  'stdbuf',
];

describeKernel('an agent at rest', () => {
  let lab: TestLab;
  let temporary: string;
  let place: AgentPlace;
  let agent: AgentProcess;

  beforeAll(async () => {
    lab = await testLab({ 'cluster.yaml': trapManifests }, { cni: 'ptp', agents: false });
    temporary = await mkdtemp(join(tmpdir(), 'sluice-rest-'));
    // A full compare is no rest.
    const own = { flags: ['--resync-seconds', '3600'], env: { PATH: `${await watchedPrograms()}:${realPath}` } };
    place = { ...(await placeInLab(lab, temporary, { variant: 'nft' })), ...own };
    agent = await AgentProcess.start(place);
    // The heap is given back 5 s after the last write, and V8 looks after what is left for some seconds more.
    await pause(15_000);
    await lastingImageOf(place);
  });

  afterAll(async () => {
    await agent?.end('SIGKILL');
    await cleanNode({ ...place, env: {} });
    await lab?.down();
    await rm(temporary, { recursive: true });
  });

  /** A folder in which each program writes a line before it is the real one. */
  async function watchedPrograms(): Promise<string> {
    const folder = join(temporary, 'bin');
    await mkdir(folder);
    for (const name of programs) {
      const file = join(folder, name);
      // The programs that it starts come by here as well.
      const real = `"$(PATH='${realPath}' command -v ${name})"`;
      await writeFile(file, `#!/bin/sh\necho "${name} $*" >>'${temporary}/starts'\nexec ${real} "$@"\n`);
      await chmod(file, 0o755);
    }
    return folder;
  }

  function starts(): Promise<string> {
    return readFile(join(temporary, 'starts'), 'utf8');
  }

  test('nothing is started and nothing written, and it sleeps', async () => {
    const before = [await starts(), await agent.writes(), await imageOf(place), await handlesOf(place.netns)];
    expect(before[0]).toContain('stdbuf -oL ipset -exist restore');
    const wakes = await wakesOf(place.runDir);
    await pause(restMs);
    expect((await wakesOf(place.runDir)) - wakes).toBeLessThan(mostWakes);
    expect([await starts(), await agent.writes(), await imageOf(place), await handlesOf(place.netns)]).toEqual(before);
  });

  test('a set that somebody else fills is seen by the program that stays', async () => {
    const image = await imageOf(place);
    const [, set = ''] = /^add (cali40s:\S+) /m.exec(image) ?? [];
    await inside(place.netns, ['ipset', 'add', set, '192.0.2.77']);
    await untilTrue('the member has gone again', async () => (await imageOf(place)) === image);
    expect(await starts()).not.toContain('ipset list -t');
  });
});

/** How often its threads have waited for something. */
async function wakesOf(runDir: string): Promise<number> {
  const pid = (await askAgent(runDir))?.status.pid;
  const tasks = await readdir(`/proc/${pid}/task`);
  const counts = tasks.map(async (task) => {
    const status = await readFile(`/proc/${pid}/task/${task}/status`, 'utf8');
    return Number(/^voluntary_ctxt_switches:\s+(\d+)$/m.exec(status)?.[1]);
  });
  return (await Promise.all(counts)).reduce((sum, count) => sum + count, 0);
}
