import { addDemoCommand } from './demo.ts';
import { addLabCommand } from './lab.ts';
import type { AddCommand } from './program.ts';

/** Commands that start other programs of this repository, and make network namespaces: a node's image has neither. */
export const labCommands: readonly AddCommand[] = [addLabCommand, addDemoCommand];
