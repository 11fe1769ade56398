/** How a setting is called on the command line and in the environment, and how its text becomes a value. */
import { unreachable } from '../lib/unreachable.ts';
import type { ConfigKey, OptionShape } from './schema.ts';

/** `nodeName` -> `--node-name` */
export function flagOf(key: ConfigKey): string {
  return `--${kebab(key)}`;
}

/** `nodeName` -> `SLUICE_NODE_NAME` */
export function environmentNameOf(key: ConfigKey): string {
  return `SLUICE_${kebab(key).replaceAll('-', '_').toUpperCase()}`;
}

/** The value that `text` stands for, or the text itself where it stands for none: the schema then says what it expected. */
export function valueOfText(shape: OptionShape, text: string): unknown {
  switch (shape.kind) {
    case 'boolean':
      return text === 'true' ? true : text === 'false' ? false : text;
    case 'integer':
      return /^-?\d+$/.test(text) ? Number(text) : text;
    case 'list':
      return text === '' ? [] : text.split(',').map((item) => item.trim());
    case 'string':
      return text;
    default:
      return unreachable(shape.kind);
  }
}

function kebab(key: string): string {
  return key.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}
