import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Command } from 'commander';
import { afterAll, describe, expect, test } from 'vitest';
import type { CommandIo } from '../../src/cli/io.ts';
import { labCommands } from '../../src/cli/lab-commands.ts';
import { createProgram } from '../../src/cli/program.ts';
import { configKeys } from '../../src/config/schema.ts';
import { flagOf } from '../../src/config/option-text.ts';
import { root, runCommand, runSluice } from './run-sluice.ts';

const seed = ['--manifests', 'examples/seed'];
const directory = mkdtempSync(join(tmpdir(), 'sluice-cli-test-'));
afterAll(() => rmSync(directory, { recursive: true }));

function fileWith(name: string, text: string): string {
  const file = join(directory, name);
  writeFileSync(file, text);
  return file;
}

describe('help', () => {
  const { program, printed } = programForTests();
  const named = new Map(everyCommand(program).map((command) => [command.name(), command]));

  test('every command of the interface is there', () => {
    const expected =
      'agent render explain matrix test get status check version cleanup lab demo completion up exec down';
    expect([...named.keys()]).toEqual(expect.arrayContaining(expected.split(' ')));
  });

  test.each([...named])('%s has an example', (name, command) => {
    command.outputHelp();
    expect(printed().at(-1)).toMatch(/Examples:\n {2}(sluice|source) /);
    expect(printed().at(-1)).toContain(name);
  });

  test('the agent has a flag for every setting', () => {
    const flags = named.get('agent')?.options.map(({ long }) => long);
    expect(flags).toEqual(expect.arrayContaining(configKeys.map(flagOf)));
  });

  test('asking for it is no failure', async () => {
    const { exitCode, stdout } = await runSluice(['lab', 'up', '--help']);
    expect([exitCode, stdout.includes('--cni <kind>')]).toEqual([0, true]);
  });
});

/** The program with everything that it prints. */
function programForTests() {
  const lines: string[] = [];
  const io: CommandIo = {
    environment: {},
    colour: false,
    takeInterrupts: () => new AbortController().signal,
    interruptedBy: undefined,
    out: (text) => void lines.push(text),
    error: (text) => void lines.push(text),
    exitCode: 0,
    passedExitCode: undefined,
  };
  return { program: createProgram(io, labCommands), printed: () => lines };
}

function everyCommand(command: Command): readonly Command[] {
  return command.commands.flatMap((child) => [child, ...everyCommand(child)]);
}

describe('exit codes', () => {
  const pod = (name: string) => `apiVersion: v1\nkind: Pod\nmetadata: {name: ${name}}\n`;
  const mixed = fileWith('mixed.yaml', [pod('a'), pod('b'), pod('Bad_Name')].join('---\n'));
  const flows = fileWith('beside.yaml', '- {from: a, to: b:80, expect: denied}\n');
  const noList = fileWith('no-list.yaml', 'apiVersion: v1\nkind: List\nitems: {}\n');
  const broken = fileWith('broken.yaml', 'apiVersion: v1\nkind: Pod\nmetadata: {name: Bad_Name}\n');
  test.each([
    ['done', ['version'], 0],
    ['a refused connection is an answer', ['explain', 'frontend', 'db:80', ...seed], 0],
    ['an expectation that is met', ['explain', 'frontend', 'db:80', '--expect', 'denied', ...seed], 0],
    ['an expectation that is not met', ['explain', 'frontend', 'db:80', '--expect', 'allowed', ...seed], 1],
    ['bad manifests', ['get', 'svc', '--manifests', broken], 2],
    ['a list that is none', ['get', 'svc', '--manifests', noList], 2],
    ['no such directory', ['get', 'svc', '--manifests', join(directory, 'none')], 2],
    ['unknown command', ['frobnicate'], 2],
    ['unknown flag', ['get', 'svc', '--colour', 'red'], 2],
    ['missing argument', ['explain', 'frontend'], 2],
    ['unknown kind', ['get', 'pod', ...seed], 2],
    ['unknown name', ['explain', 'nobody', 'db:80', ...seed], 2],
    ['unknown node', ['render', '--node', 'nowhere', ...seed], 2],
    ['a kubeconfig that is not there', ['get', 'svc', '--kubeconfig', 'admin.conf'], 2],
    ['two clusters', ['get', 'svc', '--kubeconfig', 'admin.conf', ...seed], 2],
    ['agent without a cluster', ['agent'], 2],
    ['agent with a bad setting', ['agent', '--resync-seconds', '1', ...seed], 2],
    ['no agent', ['status'], 4],
    ['no cluster at all', ['get', 'svc'], 4],
  ])('%s', async (_name, args, expected) => {
    const { exitCode, stderr } = await runSluice(args);
    expect(stderr).not.toContain('bug');
    expect(exitCode).toBe(expected);
  });

  test.each([
    ['a lab', ['lab', 'up', 'examples/seed']],
    ['the preflight', ['check']],
  ])('a machine that lacks something: %s', async (_name, args) => {
    const { exitCode, stderr, stdout } = await runSluice(args, { PATH: join(directory, 'empty') });
    expect(exitCode).toBe(3);
    // As somebody else than root, a lab lacks root first.
    expect(stderr + stdout).toMatch(/program (?:not found|iptables\S* is not on this machine)|needs root/);
  });

  test.each([
    ['explain', ['explain', 'a', 'b:80', '--expect', 'denied'], /expected denied, is allowed/],
    ['test', ['test', flows], /1 failed/],
  ])('an expectation that is not met beside bad input is bad input: %s', async (_name, args, said) => {
    const { exitCode, stdout, stderr } = await runSluice([...args, '--manifests', mixed]);
    expect(stdout + stderr).toMatch(said);
    expect(stderr).toContain('mixed.yaml:11: metadata.name: ');
    expect(exitCode).toBe(2);
  });

  test('so is a flow that cannot be read beside one that fails', async () => {
    const half = fileWith('half.yaml', '- {from: frontend, to: backend:80, expect: denied}\n- {from: frontend}\n');
    const { exitCode, stdout } = await runSluice(['test', half, ...seed]);
    expect(stdout).toContain('1 failed');
    expect(exitCode).toBe(2);
  });

  test('with no cluster the three choices are named', async () => {
    const { stderr } = await runSluice(['get', 'svc']);
    expect(stderr).toMatch(/--manifests DIR.*--kubeconfig FILE.*sluice agent/);
  });

  test('what was good is still printed', async () => {
    const both = fileWith(
      'both.yaml',
      [
        'apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec: {ports: [{port: 80}]}',
        'apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: p}\nspec: {podSelector: 7}',
      ].join('\n---\n'),
    );
    const { exitCode, stdout, stderr } = await runSluice(['get', 'svc', '--manifests', both]);
    expect(exitCode).toBe(2);
    expect(stdout).toMatch(/^web +ClusterIP +10\.96\.\d+\.\d+ +<none> +80\/TCP$/m);
    expect(stderr).toMatch(/both\.yaml:9: spec\.podSelector: /);
  });

  test('an unknown SLUICE_ variable is refused by what reads settings', async () => {
    const { exitCode, stderr } = await runSluice(['render', '--node', 'minikube', ...seed], { SLUICE_FROB: '1' });
    expect(exitCode).toBe(2);
    expect(stderr).toContain('SLUICE_FROB: unknown setting');
  });
});

describe('files are named so that they can be opened from where the user stands', () => {
  test('a directory in the current one', async () => {
    const { stdout } = await runSluice(['explain', 'frontend', 'svc/db:80', ...seed]);
    expect(stdout).toContain('(examples/seed/policy/allow-db-access.yaml:2)');
    const json = await runSluice(['explain', 'backend', 'svc/db:80', '-o', 'json', ...seed]);
    expect(json.stdout).toContain('"file": "examples/seed/policy/allow-db-access.yaml"');
  });

  test('of an object that stands twice, both places', async () => {
    const twice = mkdtempSync(join(directory, 'twice-'));
    const service = 'apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec: {ports: [{port: 80}]}\n';
    for (const name of ['a.yaml', 'b.yaml']) writeFileSync(join(twice, name), service);
    const { exitCode, stderr } = await runSluice(['get', 'svc', '--manifests', twice]);
    expect(exitCode).toBe(2);
    expect(stderr).toBe(
      `${twice}/b.yaml:1: Service default/web stands at ${twice}/a.yaml:1 already, expected once; this one is left out\n`,
    );
  });

  test('a directory elsewhere, and one file', async () => {
    const bad = fileWith('bad.yaml', 'apiVersion: v1\nkind: Pod\nmetadata: {name: Bad_Name}\n');
    const { stderr } = await runSluice(['get', 'svc', '--manifests', bad]);
    expect(stderr).toMatch(new RegExp(`^${bad}:3: metadata\\.name: `, 'm'));
    const relative = await runSluice(['get', 'svc', '--manifests', 'examples/seed/cluster.yaml', '-o', 'json']);
    expect(relative.exitCode).toBe(0);
  });
});

describe('output', () => {
  test('a pipe gets no colours, JSON is JSON', async () => {
    const { stdout } = await runSluice(['explain', 'frontend', 'db:80', ...seed]);
    expect(stdout).not.toContain('\u001B');
    const json = await runSluice(['explain', 'frontend', 'db:80', '-o', 'json', ...seed]);
    expect(JSON.parse(json.stdout)).toMatchObject({ verdict: 'denied', how: 'drop' });
  });

  test('versions', async () => {
    const { stdout } = await runSluice(['version', '-o', 'json']);
    expect(JSON.parse(stdout)).toMatchObject({ sluice: '0.1.0', node: process.versions.node });
  });

  test('render prints sets, then IPv4, then IPv6, or one of them', async () => {
    const whole = await runSluice(['render', '--node', 'minikube', ...seed]);
    const parts = await Promise.all(
      ['ipset', 'v4', 'v6'].map((only) => runSluice(['render', '--node', 'minikube', '--only', only, ...seed])),
    );
    expect(whole.stdout).toBe(parts.map(({ stdout }) => stdout).join(''));
    expect(parts[0]?.stdout).toContain('add cali40s:LrVD8vMIGQDyv8Y7sPFB1Ge 10.88.0.27\n');
    expect(parts[1]?.stdout).toContain('-A cali-tw-cali95aa86cbb2a -m comment --comment "cali:pm-LK-c1ra31tRwz"');
    expect(parts[2]?.stdout).not.toContain('10.88.0.');
  });

  test('render follows the settings', async () => {
    const { stdout } = await runSluice([
      'render',
      '--node',
      'minikube',
      '--service-proxy',
      '--ip-families',
      'ipv4',
      ...seed,
    ]);
    expect(stdout).toContain(':KUBE-SERVICES - -');
    expect(stdout).not.toContain('inet6');
  });

  test('the matrix says who is in no row of it', async () => {
    const { stdout, stderr, exitCode } = await runSluice(['matrix', '--to', 'db', '192.0.2.77', ...seed]);
    expect(stdout).not.toContain('192.0.2.77');
    expect(stderr).toBe('sluice: matrix: 192.0.2.77 names no port, or has no address: name a port with --port\n');
    expect(exitCode).toBe(0);
  });

  test('the matrix as rows', async () => {
    const { stdout } = await runSluice(['matrix', '--from', 'frontend', '--to', 'db', '-o', 'json', ...seed]);
    expect(JSON.parse(stdout)).toEqual([
      {
        from: 'default/frontend-8b474f47-zdqdv',
        to: 'default/db-8d66ff5f7-bp6kf',
        port: 80,
        protocol: 'TCP',
        verdict: 'denied',
      },
    ]);
  });
});

describe('of two IP families the one that is asked about', () => {
  const both = fileWith(
    'families.yaml',
    `${['a', 'b']
      .map(
        (name, index) =>
          `apiVersion: v1\nkind: Pod\nmetadata: {name: ${name}, labels: {app: ${name}}}\nspec: {containers: [{ports: [{containerPort: 80}]}]}\nstatus: {podIPs: [{ip: 10.88.0.${index + 5}}, {ip: "fd00:10:88::${index + 5}"}]}\n`,
      )
      .join('---\n')}---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: four}
spec: {podSelector: {matchLabels: {app: b}}, ingress: [{from: [{ipBlock: {cidr: 0.0.0.0/0}}]}]}
`,
  );
  const flows = fileWith('families-flows.yaml', '- {from: a, to: b:80, expect: allowed}\n');
  const cluster = ['--manifests', both];

  test.each([
    ['its first', [], 'allowed'],
    ['IPv4', ['--ip-family', 'ipv4'], 'allowed'],
    ['IPv6', ['--ip-family', 'ipv6'], 'denied'],
  ])('%s', async (_name, choice, verdict) => {
    const [explained, table, tested] = await Promise.all([
      runSluice(['explain', 'a', 'b:80', '-o', 'json', ...choice, ...cluster]),
      runSluice(['matrix', '--from', 'a', '--to', 'b', '-o', 'json', ...choice, ...cluster]),
      runSluice(['test', flows, ...choice, ...cluster]),
    ]);
    expect(JSON.parse(explained.stdout)).toMatchObject({ verdict });
    expect(JSON.parse(table.stdout)).toMatchObject([{ verdict }]);
    expect(tested.exitCode).toBe(verdict === 'allowed' ? 0 : 1);
  });

  test('a destination that has no address of it says so; addresses that are left out are made up', async () => {
    const { stdout } = await runSluice(['explain', 'a', '10.88.0.6:80', '--ip-family', 'ipv6', ...cluster]);
    expect(stdout).toContain('10.88.0.6 has no IPv6 address');
    const seeded = await runSluice(['explain', 'frontend', 'svc/backend:80', '--ip-family', 'ipv6', ...seed]);
    expect(seeded.stderr).not.toContain('bug');
    const other = await runSluice(['explain', 'a', 'b:80', '--ip-family', '6', ...cluster]);
    expect(other.exitCode).toBe(2);
  });
});

describe('sluice test', () => {
  const flows = fileWith(
    'flows.yaml',
    '- {from: frontend, to: db:80, expect: denied, why: only backend may}\n- {from: frontend, to: backend:80, expect: denied}\n',
  );

  test('a flow that is not as expected fails, with its line and the reason', async () => {
    const { exitCode, stdout } = await runSluice(['test', flows, ...seed]);
    expect(exitCode).toBe(1);
    expect(stdout).toMatch(/^ok +frontend -> db:80 denied \(only backend may\)$/m);
    expect(stdout).toContain('flows.yaml:2: frontend -> backend:80 denied: expected denied, is allowed');
    expect(stdout).toContain('1 passed, 1 failed');
  });

  test('JUnit XML is written too', async () => {
    const junit = join(directory, 'results.xml');
    await runSluice(['test', flows, '--junit', junit, ...seed]);
    const { stdout } = await runCommand(['cat', junit]);
    expect(stdout).toContain('<testsuites name="sluice" tests="2" failures="1">');
  });

  test('a file that is not there is bad input', async () => {
    const { exitCode, stderr } = await runSluice(['test', join(directory, 'none.yaml'), ...seed]);
    expect(exitCode).toBe(2);
    expect(stderr).toMatch(/none\.yaml: cannot be read/);
  });
});

describe('the launcher', () => {
  test('works through a link, from anywhere', async () => {
    const link = join(directory, 'sluice');
    symlinkSync(join(root, 'bin', 'sluice.mjs'), link);
    const { exitCode, stdout } = await runCommand([process.execPath, link, '--version']);
    expect([exitCode, stdout]).toEqual([0, '0.1.0\n']);
  });

  test('passes on arguments and exit codes', async () => {
    const { exitCode } = await runCommand([process.execPath, join(root, 'bin', 'sluice.mjs'), 'status']);
    expect(exitCode).toBe(4);
  });
});
