/** Output for programs. */
import { Option } from 'commander';
import { stringify } from 'yaml';

export type OutputFormat = 'table' | 'wide' | 'yaml' | 'json';

/** `-o FORMAT`; without it, text for people. */
export function outputOption(choices: readonly ('wide' | 'yaml' | 'json')[]): Option {
  return new Option('-o, --output <format>', 'form of the output').choices([...choices]);
}

export function formatJson(value: unknown): string {
  return `${JSON.stringify(value, null, 2)}\n`;
}

/** As calicoctl and kubectl print it: lists not indented, long text folded. */
export function formatYaml(value: unknown): string {
  return stringify(value, { indentSeq: false, lineWidth: 80, aliasDuplicateObjects: false });
}
