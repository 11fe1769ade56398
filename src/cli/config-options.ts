/** Settings of the agent as flags of a command, from the one schema. */
import type { Command } from 'commander';
import { loadConfig } from '../config/load.ts';
import { flagOf } from '../config/option-text.ts';
import { configKeys, optionShape } from '../config/schema.ts';
import type { Config, ConfigKey, OptionShape } from '../config/schema.ts';
import type { CommandIo } from './io.ts';
import { OfferedOption } from './offered-option.ts';

/** Adds `--config` and a flag for each key. */
export function addConfigOptions(command: Command, keys: readonly ConfigKey[] = configKeys): Command {
  command.option('--config <file>', 'YAML file with settings (default: SLUICE_CONFIG)');
  for (const key of keys) {
    const shape = optionShape(key);
    command.addOption(new OfferedOption(`${flagOf(key)} ${placeholder(shape)}`, describe(shape), offered(shape)));
  }
  return command;
}

/** The configuration of a command that has these flags. `options` are what commander parsed. */
export function configOf(options: object, io: CommandIo): Config {
  const flags = Object.fromEntries(
    configKeys.flatMap((key) => {
      const value: unknown = Reflect.get(options, key);
      return typeof value === 'string' || typeof value === 'boolean' ? [[key, value]] : [];
    }),
  );
  const file: unknown = Reflect.get(options, 'config');
  return loadConfig({ flags, environment: io.environment, ...(typeof file === 'string' ? { file } : {}) });
}

function placeholder({ kind, choices }: OptionShape): string {
  if (kind === 'boolean') return '[true|false]';
  if (kind === 'list') return '<list>';
  if (choices.length > 0) return `<${choices.join('|')}>`;
  return kind === 'integer' ? '<number>' : '<text>';
}

/** Of a list each item, and all of them. */
function offered({ kind, choices }: OptionShape): readonly string[] {
  if (kind === 'boolean') return ['true', 'false'];
  return kind === 'list' && choices.length > 1 ? [...choices, choices.join(',')] : choices;
}

function describe({ description, defaultValue }: OptionShape): string {
  const text = description.replace(/\.$/, '').replaceAll('`', '');
  if (defaultValue === undefined || (Array.isArray(defaultValue) && defaultValue.length === 0)) return text;
  return `${text} (default: ${JSON.stringify(defaultValue).replaceAll(/["[\]]/g, '')})`;
}
