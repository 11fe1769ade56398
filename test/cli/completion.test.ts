/** Completion: bash for real; of zsh and fish, which a test machine need not have, the text (with both it was tried by hand). */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { runCommand, runSluice } from './run-sluice.ts';

const directory = mkdtempSync(join(tmpdir(), 'sluice-completion-'));
afterAll(() => rmSync(directory, { recursive: true }));

/** What has been typed, the last word perhaps in part; what is offered. */
const offers: readonly (readonly [string, string])[] = [
  ['lab u', 'up'],
  ['ren', 'render'],
  ['agent --resync', '--resync-seconds'],
  ['get ', 'networkpolicy workloadendpoint ipset service diagnostic --namespace --all-namespaces --node --output ...'],
  ['completion ', 'bash zsh fish'],
  // The same flag, with the values of its own command.
  ['get -o ', 'wide yaml json'],
  ['get --output ', 'wide yaml json'],
  ['explain -o ', 'yaml json'],
  ['get svc -o y', 'yaml'],
  // Settings of the agent.
  ['agent --iptables-backend ', 'auto nft legacy'],
  ['agent --pod-start ', 'closed open'],
  ['render --pod-start c', 'closed'],
  ['agent --ip-families ', 'ipv4 ipv6 ipv4,ipv6'],
  ['agent --service-proxy ', 'true false'],
  ['lab up --cni ', 'ptp bridge'],
  ['lab up --iptables ', 'nft legacy'],
  ['lab status -o ', 'yaml json'],
];

describe('bash', () => {
  let script: string;
  beforeAll(async () => {
    script = join(directory, 'completion.bash');
    writeFileSync(script, (await runSluice(['completion', 'bash'])).stdout);
  });

  async function offered(typed: string): Promise<string> {
    const words = ['sluice', ...typed.split(' ')].map((word) => `'${word}'`);
    const ask = `COMP_WORDS=(${words.join(' ')}); COMP_CWORD=${words.length - 1}; _sluice; echo "\${COMPREPLY[@]}"`;
    const { stdout, stderr } = await runCommand(['bash', '-c', `source ${script}; ${ask}`]);
    expect(stderr).toBe('');
    return stdout.trimEnd();
  }

  test.each(offers)('%j', async (typed, expected) => {
    const found = await offered(typed);
    if (expected.endsWith(' ...')) expect(found).toContain(expected.slice(0, -' ...'.length));
    else expect(found).toBe(expected);
  });

  test('files, where a file is wanted', async () => {
    writeFileSync(join(directory, 'flows.yaml'), '');
    expect(await offered(`explain a b:80 --manifests ${directory}/fl`)).toBe(`${directory}/flows.yaml`);
  });
});

test('zsh: what bash has, under a name of its own, and asked at once', async () => {
  const [zsh, bash] = await Promise.all(['zsh', 'bash'].map((shell) => runSluice(['completion', shell])));
  const renamed = bash?.stdout.replaceAll('_sluice', '_sluice_words');
  expect(zsh?.stdout).toBe(`#compdef sluice
autoload -U +X bashcompinit && bashcompinit
${renamed}[ "$funcstack[1]" = _sluice ] && _bash_complete -o default -F _sluice_words
`);
  // zsh ties `path` to PATH, completion has `words`, and a letter after a colon is a modifier.
  expect(zsh?.stdout).not.toMatch(/\b(?:path|words)=|\$(?:path|words)\b|:1:[A-Z]/);
});

describe('fish', () => {
  let lines: readonly string[];
  beforeAll(async () => {
    lines = (await runSluice(['completion', 'fish'])).stdout.split('\n');
  });

  /** Lines of one place: each is for that alone. */
  const at = (path: string) =>
    lines.filter((line) => line.startsWith(`complete -c sluice -n "__sluice_at '${path}'" `));
  const flag = (path: string, name: string) => at(path).filter((line) => line.includes(` -l ${name} `));

  test('every line is for one place, with its quotes closed', () => {
    const rules = lines.filter((line) => line.startsWith('complete '));
    expect(rules.length).toBeGreaterThan(100);
    const form =
      /^complete -c sluice (?:-f|-n "__sluice_at '[a-z ]+'" (?:-a [a-z]+|-l [a-z-]+(?: -s [A-Za-z])?(?: -x| -r -F)?(?: -a '[\w, ]+')?)(?: -d '(?:[^'\\]|\\.)*')?)$/;
    expect(rules.filter((line) => !form.test(line))).toEqual([]);
    expect(new Set(rules).size).toBe(rules.length);
  });

  test('the words before a word say which command it is of', () => {
    const parents = lines.find((line) => line.trim().startsWith('case '));
    for (const path of ['sluice get', 'sluice lab', 'sluice lab up']) expect(parents).toContain(`'${path}'`);
  });

  test.each([
    ['sluice get', 'output', "-s o -x -a 'wide yaml json'"],
    ['sluice explain', 'output', "-s o -x -a 'yaml json'"],
    ['sluice agent', 'iptables-backend', "-x -a 'auto nft legacy'"],
    ['sluice render', 'pod-start', "-x -a 'closed open'"],
    ['sluice lab up', 'cni', "-x -a 'ptp bridge'"],
    ['sluice explain', 'manifests', '-r -F'],
    ['sluice explain', 'verbose', '-s v'],
  ])('%s --%s', (path, name, expected) => {
    const found = flag(path, name);
    expect(found).toHaveLength(1);
    expect(found[0]).toContain(` -l ${name} ${expected} -d '`);
  });

  test('a flag of one command is not offered at another', () => {
    expect(flag('sluice lab', 'cni')).toEqual([]);
    expect(flag('sluice status', 'name')).toEqual([]);
    expect(at('sluice get').filter((line) => line.includes(' -a '))).toHaveLength(5 + 1);
  });
});
