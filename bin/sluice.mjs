#!/usr/bin/env node
// Starts Sluice. Sluice needs Node 24; where an older one runs this file, the project's own Node takes over.
// Plain JavaScript for Node 20, without dependencies.
import { spawn } from 'node:child_process';
import { existsSync, realpathSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const root = dirname(dirname(realpathSync(fileURLToPath(import.meta.url))));
const main = join(root, 'src', 'main.ts');
const projectNode = join(root, 'node_modules', '.bin', 'node');

if (Number.parseInt(process.versions.node, 10) >= 24) {
  await import(pathToFileURL(main).href);
} else if (existsSync(projectNode)) {
  runWith(projectNode);
} else {
  console.error(`sluice: needs Node 24, this is ${process.version}; run "npm install" in ${root}, which brings one`);
  process.exitCode = 3;
}

function runWith(node) {
  const child = spawn(node, [main, ...process.argv.slice(2)], { stdio: 'inherit' });
  // The child cleans up and decides the exit code; we only wait.
  const forward = (signal) => child.kill(signal);
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, forward);
  child.on('error', (error) => {
    console.error(`sluice: ${node}: ${error.message}`);
    process.exitCode = 3;
  });
  child.on('exit', (code, signal) => {
    process.exitCode = code ?? (signal === 'SIGINT' ? 130 : 1);
  });
}
