/** Files of the kernel that are usually short: a program that prints one costs more than its text. */
import { open } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';

const mostBytes = 64 * 1024;

/**
 * Its text. Undefined: it is longer than `limit` bytes, or cannot be read; a program that prints it says why, and gives a long one in larger
 * pieces than the page at a time that files of /proc come in here.
 */
export async function readShortFile(path: string, limit = mostBytes): Promise<string | undefined> {
  const file = await open(path).catch(() => undefined);
  try {
    return file && (await textOf(file, limit));
  } catch {
    return undefined;
  } finally {
    await file?.close();
  }
}

async function textOf(file: FileHandle, limit: number): Promise<string | undefined> {
  const buffer = Buffer.alloc(limit + 1);
  for (let length = 0; length <= limit; ) {
    const { bytesRead } = await file.read(buffer, length);
    if (bytesRead === 0) return buffer.toString('latin1', 0, length);
    length += bytesRead;
  }
  return undefined;
}
