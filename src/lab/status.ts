/** What is up, and how it is. */
import { askAgent } from './ask-agent.ts';
import { requireState } from './exec.ts';
import type { LabState } from './run-directory.ts';
import { isAlive, runDirectory } from './run-directory.ts';

export interface LabStatus extends LabState {
  /** The process that follows the manifests lives. */
  readonly isFollowing: boolean;
  readonly agents: readonly {
    readonly node: string;
    readonly isReady: boolean;
    /** Pods of the node that it knows, and those that are programmed. */
    readonly known: number;
    readonly programmed: number;
  }[];
}

/** The lab's state and what each agent says now. */
export async function labStatus(name: string): Promise<LabStatus> {
  const state = await requireState(name);
  const directory = runDirectory(name);
  const agents = state.nodes.map(async (node) => {
    const report = await askAgent(directory.agent(node.name));
    const { known = 0, programmed = 0 } = report?.status.endpoints ?? {};
    return { node: node.name, isReady: report?.status.ready ?? false, known, programmed };
  });
  return { ...state, isFollowing: await isAlive(state.lab), agents: await Promise.all(agents) };
}
