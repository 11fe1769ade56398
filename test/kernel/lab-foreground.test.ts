/** `lab up --foreground`, as people run it: it says what is wrong with the manifests, and Ctrl-C takes everything away. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { run, spawnProcess } from '../../src/backends/exec.ts';
import { mainFile } from '../cli/run-sluice.ts';
import { untilTrue } from './lab-fixture.ts';
import { describeKernel } from './netns.ts';

const manifests = `apiVersion: v1
kind: Pod
metadata: { name: web }
spec: { containers: [{ name: c, image: none, ports: [{ containerPort: 8080 }] }] }
---
apiVersion: v1
kind: Service
metadata: { name: broken }
spec: { ports: [{ port: 70000 }] }
`;

describeKernel('lab up --foreground', () => {
  test('messages, then Ctrl-C: exit code 130, and nothing is left', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'sluice-foreground-'));
    const name = `slfore-${process.pid}`;
    const [stdout, stderr] = [join(directory, 'stdout'), join(directory, 'stderr')];
    writeFileSync(join(directory, 'objects.yaml'), manifests);
    const lab = spawnProcess([process.execPath, mainFile, 'lab', 'up', directory, '--name', name, '--foreground'], {
      stdout: { file: stdout },
      stderr: { file: stderr },
      env: { SLUICE_LAB_RUN_DIR: join(directory, 'run') },
    });
    try {
      await untilTrue('the lab is up', () => readFileSync(stdout, 'utf8').includes('is up; Ctrl-C'), 90_000);
      expect(readFileSync(stderr, 'utf8')).toContain('spec.ports[0].port: 70000 is not a port, expected 1-65535');
      lab.kill('SIGINT');
      expect(await lab.exited).toEqual({ exitCode: 130 });
      expect((await run(['ip', 'netns', 'list'])).stdout).not.toContain(name);
    } finally {
      lab.kill('SIGINT');
      await lab.exited;
      rmSync(directory, { recursive: true });
    }
  }, 180_000);
});
