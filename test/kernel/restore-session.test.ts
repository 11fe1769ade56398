/** Transactions through a process that stays, on the real kernel: the same results as with a process for each. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Converse, Run } from '../../src/backends/exec.ts';
import { converse } from '../../src/backends/exec.ts';
import { KernelBackend } from '../../src/backends/kernel-backend.ts';
import type { SetWrite } from '../../src/dataplane/kernel-write.ts';
import type { IpSetName } from '../../src/dataplane/names.ts';
import { chainName, setName } from '../../src/dataplane/names.ts';
import type { Chain, IpSet, Rule } from '../../src/dataplane/rule.ts';
import { createNetns, describeKernel, type Netns } from './netns.ts';

const goesOn: Rule = { matches: [], action: { kind: 'return' }, comments: [], origin: {} };

function chain(name: string, ...rules: readonly Rule[]): Chain {
  return { name: chainName(name), style: 'cali', rules };
}

function jumpTo(name: string): Rule {
  return { ...goesOn, action: { kind: 'jump', chain: chainName(name) } };
}

const a = setName('a', 'ipv4');
const b = setName('b', 'ipv6');
const large = setName('large', 'ipv4');

function setWrite(name: IpSetName, add: readonly string[], create = true): SetWrite {
  const set: IpSet = {
    name,
    family: name.startsWith('cali4') ? 'ipv4' : 'ipv6',
    type: 'hash:net',
    members: new Set(add),
    origin: {},
  };
  return { set, create, add, remove: [] };
}

describeKernel('standing programs', () => {
  let netns: Netns;
  let backend: KernelBackend;
  /** Programs that were run for a transaction of their own, and processes that stay. */
  let single: string[];
  let pids: number[];
  let setPids: number[];

  beforeAll(async () => {
    netns = await createNetns('ses');
    const inside: Converse = (argv, onLine) => {
      const conversation = converse(['ip', 'netns', 'exec', netns.name, ...argv], onLine);
      (argv.includes('ipset') ? setPids : pids).push(conversation.pid);
      return conversation;
    };
    const counting: Run = (argv, options) => {
      if (options?.input !== undefined) single.push(argv[0]);
      return netns.run(argv, options);
    };
    [single, pids, setPids] = [[], [], []];
    backend = new KernelBackend({ run: counting, converse: inside, variant: 'nft', ownership: { services: false } });
  });
  afterAll(() => netns.destroy());

  const write = (...chains: readonly Chain[]) =>
    backend.apply({ kind: 'write-chains', family: 'ipv4', table: 'filter', chains });
  const remove = (...names: readonly string[]) =>
    backend.apply({ kind: 'remove-chains', family: 'ipv4', table: 'filter', names });
  const members = async (name: string): Promise<readonly string[]> =>
    [...(await netns.exec(`ipset save ${name}`)).matchAll(/^add \S+ (\S+)/gm)].map(([, member = '']) => member).sort();
  const saved = async (): Promise<readonly string[]> =>
    (await netns.exec('iptables-nft-save -t filter'))
      .split('\n')
      .filter((line) => line.includes('cali-'))
      .map((line) => line.replace(/ -m comment --comment \S+/, ''));

  test('chains are written, written again and removed, by one process', async () => {
    await write(chain('cali-a', goesOn), chain('cali-b', jumpTo('cali-a')));
    await write(chain('cali-a', goesOn, goesOn));
    expect(await saved()).toEqual([
      ':cali-a - [0:0]',
      ':cali-b - [0:0]',
      '-A cali-a -j RETURN',
      '-A cali-a -j RETURN',
      '-A cali-b -j cali-a',
    ]);
    await remove('cali-b');
    await remove('cali-a');
    expect(await saved()).toEqual([]);
    expect([single, pids.length]).toEqual([[], 1]);
  });

  test('what somebody else deleted or made in between is no surprise', async () => {
    await write(chain('cali-a', goesOn));
    await netns.exec('iptables-nft -F cali-a');
    await netns.exec('iptables-nft -X cali-a');
    await netns.exec('iptables-nft -N cali-b');
    await netns.exec('iptables-nft -A cali-b -j DROP');
    await write(chain('cali-a', jumpTo('cali-b')), chain('cali-b', goesOn));
    expect(await saved()).toEqual([':cali-a - [0:0]', ':cali-b - [0:0]', '-A cali-a -j cali-b', '-A cali-b -j RETURN']);
    await netns.exec('iptables-nft -F cali-a');
    await netns.exec('iptables-nft -X cali-a');
    await remove('cali-a', 'cali-b');
    expect(await saved()).toEqual([]);
    expect([single, pids.length]).toEqual([[], 1]);
  });

  test('a refusal names the chain, nothing of it is in the kernel, and the next transaction goes through', async () => {
    const refused = write(chain('cali-a', goesOn), chain('cali-b', jumpTo('cali-none')));
    await expect(refused).rejects.toMatchObject({ name: 'RefusedError' });
    expect(single).toEqual(['iptables-nft-restore']);
    expect(await saved()).toEqual([]);
    await write(chain('cali-a', goesOn));
    expect(await saved()).toEqual([':cali-a - [0:0]', '-A cali-a -j RETURN']);
    expect(pids).toHaveLength(2);
  });

  test('a transaction larger than any buffer', async () => {
    const many = Array.from({ length: 500 }, (_, index) => chain(`cali-many-${index}`, goesOn, goesOn, goesOn));
    await write(...many);
    expect((await saved()).filter((line) => line.startsWith('-A cali-many-'))).toHaveLength(1500);
    await remove(...many.map(({ name }) => name), 'cali-a');
    expect(await saved()).toEqual([]);
    expect(pids).toHaveLength(2);
  });

  test('sets are created and changed by one process, whatever others do in between', async () => {
    const change = (sets: readonly SetWrite[]) => backend.apply({ kind: 'write-sets', sets });
    await change([setWrite(a, ['10.0.0.1']), setWrite(b, ['fd00::1', 'fd00::2'])]);
    await change([{ ...setWrite(a, ['10.0.0.2'], false), remove: ['10.0.0.1', '10.0.0.9'] }]);
    expect(await members(a)).toEqual(['10.0.0.2']);
    expect(await members(b)).toEqual(['fd00::1', 'fd00::2']);
    await netns.exec(`ipset flush ${a}`);
    await change([setWrite(a, ['10.0.0.3'], false)]);
    expect(await members(a)).toEqual(['10.0.0.3']);
    expect(setPids).toHaveLength(1);
  });

  test('a large change of a set is there when it is told to be', async () => {
    const many = Array.from({ length: 30_000 }, (_, index) => `10.1.${index >> 8}.${index & 255}`);
    await backend.apply({ kind: 'write-sets', sets: [setWrite(large, many)] });
    expect(await members(large)).toHaveLength(30_000);
  });

  test('a refused member is named, and the next change goes through', async () => {
    single = [];
    const change = (set: SetWrite) => backend.apply({ kind: 'write-sets', sets: [set] });
    await expect(change(setWrite(a, ['10.0.0.4', 'fd00::1'], false))).rejects.toMatchObject({
      culprit: a,
      member: 'fd00::1',
    });
    await netns.exec(`ipset destroy ${large}`);
    await expect(change(setWrite(large, ['10.0.0.4'], false))).rejects.toMatchObject({
      culprit: large,
      member: undefined,
    });
    expect(single).toEqual(['ipset', 'ipset']);
    await change(setWrite(a, ['10.0.0.5'], false));
    expect(single).toHaveLength(2);
    expect(await members(a)).toContain('10.0.0.5');
  });

  test('new rules above the old ones, then without them: the old are not reached, and all is as if replaced', async () => {
    single = [];
    const accept: Rule = { ...goesOn, action: { kind: 'accept' } };
    await write(chain('cali-a', accept, accept), chain('cali-b', jumpTo('cali-a')));
    const place = { family: 'ipv4', table: 'filter' } as const;
    const covered = new Map([['cali-a', 3]]);
    await backend.apply({
      kind: 'write-chains',
      ...place,
      chains: [chain('cali-a', jumpTo('cali-c')), chain('cali-c')].toReversed(),
      covered,
    });
    expect(await saved()).toEqual([
      ':cali-a - [0:0]',
      ':cali-b - [0:0]',
      ':cali-c - [0:0]',
      '-A cali-a -j cali-c',
      '-A cali-a -j RETURN',
      '-A cali-a -j ACCEPT',
      '-A cali-a -j ACCEPT',
      '-A cali-b -j cali-a',
    ]);
    await backend.apply({ kind: 'trim-chains', ...place, chains: [{ name: 'cali-a', stay: 1, go: 3 }] });
    expect((await saved()).slice(3)).toEqual(['-A cali-a -j cali-c', '-A cali-b -j cali-a']);
    expect(single).toEqual([]);
    const again = backend.apply({ kind: 'trim-chains', ...place, chains: [{ name: 'cali-a', stay: 1, go: 3 }] });
    await expect(again).rejects.toMatchObject({ name: 'RefusedError', culprit: 'cali-a' });
    expect((await saved()).slice(3)).toEqual(['-A cali-a -j cali-c', '-A cali-b -j cali-a']);
    await remove('cali-b', 'cali-a', 'cali-c');
  });

  test('a killed process leaves nothing half done and is replaced', async () => {
    await write(chain('cali-a', goesOn));
    process.kill(pids.at(-1) ?? 0, 'SIGKILL');
    await write(chain('cali-a', goesOn, goesOn));
    expect(await saved()).toEqual([':cali-a - [0:0]', '-A cali-a -j RETURN', '-A cali-a -j RETURN']);
    await remove('cali-a');
  });
});
