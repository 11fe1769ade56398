/** The Kubernetes source against a real kube-apiserver and etcd, without nodes. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { messageOf } from '../build/machine.ts';
import type { ControlPlane } from '../cluster/control-plane.ts';
import { startControlPlane } from '../cluster/control-plane.ts';
import { writeKubeconfig } from '../cluster/kubeconfig.ts';
import type { CaseResult, LoneSuite, SuiteContext } from '../suites/suite.ts';
import { Admin } from './admin.ts';
import type { Case, Stage } from './cases.ts';
import { cases } from './cases.ts';
import type { Gate } from './gate.ts';
import { openGate } from './gate.ts';

type LoneContext = Omit<SuiteContext, 'target' | 'cni'>;

export const kubeSource: LoneSuite = {
  name: 'kube-source',
  runAlone: async (context) => {
    const directory = mkdtempSync(join(tmpdir(), 'sluice-e2e-source-'));
    const plane = await startControlPlane({ directory, progress: context.progress });
    try {
      return await runOn(plane, context);
    } finally {
      await plane.stop();
      rmSync(directory, { recursive: true, force: true });
    }
  },
};

async function runOn(plane: ControlPlane, { isFull, focus, progress }: LoneContext): Promise<readonly CaseResult[]> {
  const admin = new Admin(plane);
  const gate = await openGate(Number(new URL(plane.url).port));
  const kubeconfig = gatedKubeconfig(plane, gate);
  const chosen = cases.filter(({ name }) => focus === undefined || new RegExp(focus).test(name));
  const results: CaseResult[] = [];
  try {
    await admin.create('/api/v1/nodes', { metadata: { name: 'n1' } });
    await admin.create('/api/v1/nodes', { metadata: { name: 'n2' } });
    await admin.create('/api/v1/namespaces', { metadata: { name: 'demo' } });
    for (const one of chosen) results.push(await runCase(one, { plane, admin, gate, kubeconfig, isFull, progress }));
    return results;
  } finally {
    admin.close();
    await gate.stop();
  }
}

function gatedKubeconfig({ directory, authority }: ControlPlane, gate: Gate): string {
  const pki = join(directory, 'pki');
  const admin = { certificate: join(pki, 'admin.pem'), key: join(pki, 'admin-key.pem') };
  return writeKubeconfig(join(directory, 'gate.kubeconfig'), `https://127.0.0.1:${gate.port}`, authority.certificate, {
    clientCertificate: admin,
  });
}

async function runCase(one: Case, stage: Stage): Promise<CaseResult> {
  const { name } = one;
  const started = performance.now();
  const seconds = (): number => (performance.now() - started) / 1000;
  try {
    await one.run({ ...stage, progress: (line) => stage.progress(`${name}: ${line}`) });
    return { name, outcome: 'passed', seconds: seconds() };
  } catch (error) {
    return { name, outcome: 'failed', seconds: seconds(), message: messageOf(error) };
  }
}
