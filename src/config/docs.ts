/** docs/configuration.md: made from the schema, so that it cannot be wrong. */
import { environmentNameOf, flagOf } from './option-text.ts';
import { optionShapes } from './schema.ts';
import type { OptionShape } from './schema.ts';

/** The text of docs/configuration.md. */
export function configurationDocs(): string {
  const rows = optionShapes().map((shape) =>
    row([
      `\`${shape.key}\``,
      `\`${flagOf(shape.key)}\``,
      `\`${environmentNameOf(shape.key)}\``,
      valuesOf(shape),
      defaultOf(shape),
      shape.description,
    ]),
  );
  return [
    '# Configuration of the agent',
    '',
    '<!-- Generated from src/config/schema.ts by scripts/generate.ts. -->',
    '',
    'Every setting can be given as a flag of `sluice agent`, as an environment variable, or as a key of a YAML file',
    '(`--config FILE`, or `SLUICE_CONFIG`). A flag wins over the environment, the environment over the file, the file over',
    'the default. On flags and in the environment a list is written with commas. An unknown key is an error.',
    '',
    '```yaml',
    'nodeName: worker-1',
    'ipFamilies: [ipv4]',
    'resyncSeconds: 120',
    '```',
    '',
    row(['Key', 'Flag', 'Environment', 'Values', 'Default', 'Meaning']),
    row(['---', '---', '---', '---', '---', '---']),
    ...rows,
    '',
  ].join('\n');
}

function row(cells: readonly string[]): string {
  return `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
}

function valuesOf({ kind, choices }: OptionShape): string {
  const values = choices.map((choice) => `\`${choice}\``).join(', ');
  if (kind === 'list') return values === '' ? 'list' : `list of ${values}`;
  if (kind === 'boolean') return '`true`, `false`';
  return values === '' ? kind : values;
}

function defaultOf({ defaultValue }: OptionShape): string {
  if (defaultValue === undefined) return '';
  if (Array.isArray(defaultValue)) return defaultValue.length === 0 ? 'none' : `\`${defaultValue.join(',')}\``;
  return `\`${JSON.stringify(defaultValue).replaceAll('"', '')}\``;
}
