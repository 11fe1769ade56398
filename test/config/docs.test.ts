import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { configurationDocs } from '../../src/config/docs.ts';
import { environmentNameOf, flagOf } from '../../src/config/option-text.ts';
import { configJsonSchema, configKeys, optionShapes } from '../../src/config/schema.ts';

const docs = join(import.meta.dirname, '..', '..', 'docs');

test('docs/configuration.md is what the schema says', () => {
  expect(readFileSync(join(docs, 'configuration.md'), 'utf8')).toBe(configurationDocs());
});

test('the JSON schema has every key and no other', () => {
  expect(configJsonSchema()).toMatchObject({ type: 'object', additionalProperties: false });
  expect(JSON.stringify(configJsonSchema())).toContain('"resyncSeconds":{"default":90');
});

test('every setting is described, and has its own flag and variable', () => {
  expect(optionShapes().filter((shape) => shape.description === '')).toEqual([]);
  expect(new Set(configKeys.map(flagOf)).size).toBe(configKeys.length);
  expect(flagOf('ipFamilies')).toBe('--ip-families');
  expect(environmentNameOf('masqueradeAll')).toBe('SLUICE_MASQUERADE_ALL');
});
