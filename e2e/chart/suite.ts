/** The chart by the real helm, against a real API server; the image against its Dockerfile. No cluster is needed. */
import { mkdirSync } from 'node:fs';
import { run } from '../../src/backends/exec.ts';
import { binary, buildAll } from '../build/build.ts';
import type { ControlPlane } from '../cluster/control-plane.ts';
import { startControlPlane } from '../cluster/control-plane.ts';
import type { CaseResult, LoneSuite } from '../suites/suite.ts';
import { chartCases } from './cases.ts';
import { monitoringKinds } from './custom-kinds.ts';
import type { ChartCase, ChartTools } from './chart-case.ts';
import { chartDirectory } from './chart-case.ts';
import { imageCases } from './image-cases.ts';
import { monitoringCases } from './monitoring-cases.ts';

/** helm's own idea of a cluster's version is older than what the chart wants. */
const kubeVersion = '1.36.3';

export const chartSuite: LoneSuite = {
  name: 'chart',
  runAlone: async ({ results, focus, progress }) => {
    await buildAll(['helm'], progress);
    mkdirSync(results, { recursive: true });
    const controlPlane = await startControlPlane({ directory: results, progress });
    try {
      const tools = toolsOf(controlPlane, progress);
      await tools.kubectl(['apply', '-f', '-'], monitoringKinds);
      await tools.kubectl(['wait', '--for=condition=Established', '--timeout=60s', 'crd', '--all']);
      const wanted = [...chartCases, ...monitoringCases, ...imageCases].filter(
        ({ name }) => focus === undefined || new RegExp(focus).test(name),
      );
      const answers: CaseResult[] = [];
      for (const one of wanted) answers.push(await resultOf(one, tools));
      return answers;
    } finally {
      await controlPlane.stop();
    }
  },
};

function toolsOf({ kubectl }: ControlPlane, progress: (line: string) => void): ChartTools {
  const helm = async (args: readonly string[]): Promise<string> =>
    (await run([binary('helm'), ...args], { timeoutMs: 120_000 })).stdout;
  return {
    helm,
    kubectl,
    progress,
    render: async (values) =>
      helm([
        'template',
        'sluice',
        chartDirectory,
        '--namespace=kube-system',
        `--kube-version=${kubeVersion}`,
        ...values.flatMap((value) => ['--set', value]),
      ]),
  };
}

async function resultOf({ name, check }: ChartCase, tools: ChartTools): Promise<CaseResult> {
  const started = performance.now();
  const seconds = (): number => (performance.now() - started) / 1000;
  try {
    await check(tools);
    return { name, outcome: 'passed', seconds: seconds() };
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    tools.progress(`${name}: ${message}`);
    return { name, outcome: 'failed', seconds: seconds(), message };
  }
}
