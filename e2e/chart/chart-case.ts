/** What each case of the chart is given. */
import { join } from 'node:path';
import type { ControlPlane } from '../cluster/control-plane.ts';

export interface ChartTools {
  /** `helm template` of the chart in kube-system; rejects with helm's words. */
  readonly render: (values: readonly string[]) => Promise<string>;
  readonly helm: (args: readonly string[]) => Promise<string>;
  readonly kubectl: ControlPlane['kubectl'];
  /** For the image's layers. */
  readonly progress: (line: string) => void;
}

/** Throws where it does not hold. */
export interface ChartCase {
  readonly name: string;
  readonly check: (tools: ChartTools) => Promise<void>;
}

export const chartDirectory = join(import.meta.dirname, '..', '..', 'charts', 'sluice');
