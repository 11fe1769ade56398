/** The matrix for people: a table for each port, clients down, servers across. */
import type { MatrixRow } from '../explain/matrix.ts';
import { terminalPaint } from './paint.ts';

export function matrixText(rows: readonly MatrixRow[], hasColour: boolean): string {
  const byPort = Map.groupBy(rows, ({ port, protocol }) => `${port}/${protocol}`);
  if (byPort.size === 0) return 'nobody names a port; name one with --port\n';
  return [...byPort].map(([port, ofPort]) => portText(port, ofPort, hasColour)).join('\n');
}

function portText(port: string, rows: readonly MatrixRow[], hasColour: boolean): string {
  const paint = terminalPaint(hasColour);
  const servers = [...new Set(rows.map(({ to }) => to))];
  const clients = [...new Set(rows.map(({ from }) => from))];
  const verdicts = new Map(rows.map(({ from, to, verdict }) => [`${from} ${to}`, verdict]));
  const title = `${port}  from \\ to`;
  const first = Math.max(title.length, ...clients.map((client) => client.length));
  const header = [title.padEnd(first), ...servers].join('   ');
  const lines = clients.map((client) => {
    const cells = servers.map((server) => {
      const verdict = verdicts.get(`${client} ${server}`) ?? '';
      // Colours have no width, so the padding comes first.
      const padded = verdict.padEnd(server.length);
      return verdict === 'denied' ? paint.bad(padded) : paint.good(padded);
    });
    return [client.padEnd(first), ...cells].join('   ').trimEnd();
  });
  return `${[header, ...lines].join('\n')}\n`;
}
