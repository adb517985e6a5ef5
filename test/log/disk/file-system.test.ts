/** What logs expect of a file system; the real one and the one that tests lose power on have to agree. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { FileSystem, OpenFile } from '../../../src/log/disk/file-system.ts';
import { nodeFileSystem } from '../../../src/log/disk/node-file-system.ts';
import { FakeDisk } from '../../support/fake-disk.ts';

describe.each(['the operating system', 'the fake disk'])('files of %s', (which) => {
  let files: FileSystem;
  let root: string;
  const opened: OpenFile[] = [];

  beforeEach(async () => {
    root = which === 'the fake disk' ? '/tmp/folder' : mkdtempSync(join(tmpdir(), 'sluice-files-'));
    files = which === 'the fake disk' ? new FakeDisk() : nodeFileSystem;
    await files.makeDirectory(root);
  });
  afterEach(async () => {
    for (const file of opened.splice(0)) await file.close();
    rmSync(root, { recursive: true, force: true });
  });

  const open: FileSystem['open'] = async (name, options) => {
    const file = await files.open(join(root, name), options);
    opened.push(file);
    return file;
  };
  const text = async (name: string): Promise<string> => String(await files.readFile(join(root, name)));
  const put = async (name: string, content: string): Promise<void> => {
    await (await open(name, { create: true })).write([Buffer.from(content)], 0);
  };

  it('hold what was written, buffer behind buffer, from a position on', async () => {
    const file = await open('a', { create: true });
    await file.write([Buffer.from('one'), Buffer.alloc(0), Buffer.from('two')], 0);
    await file.write([Buffer.from('X')], 2);
    expect(await text('a')).toBe('onXtwo');
    expect(await file.size()).toBe(6);
  });

  it('take thousands of buffers in one write', async () => {
    const file = await open('a', { create: true, durableWrites: true });
    await file.write(
      Array.from({ length: 5000 }, (_, n) => Buffer.from([n & 0xff])),
      0,
    );
    const content = await files.readFile(join(root, 'a'));
    expect(content).toEqual(Buffer.from(Array.from({ length: 5000 }, (_, n) => n & 0xff)));
  });

  it('are filled with zeros up to where the first byte is written', async () => {
    await (await open('a', { create: true })).write([Buffer.from('x')], 3);
    expect(await text('a')).toBe('\0\0\0x');
  });

  it('read as far as they go', async () => {
    await put('a', 'content');
    const file = await open('a', { readOnly: true });
    const target = Buffer.alloc(10, '.');
    expect(await file.read(target, 4)).toBe(3);
    expect(String(target)).toBe('ent.......');
    expect(await file.read(target, 7)).toBe(0);
    expect(await file.read(target, 100)).toBe(0);
  });

  it('keep what they hold when they are opened to be made', async () => {
    await put('a', 'content');
    await open('a', { create: true });
    expect(await text('a')).toBe('content');
  });

  it('are cut off, and grow with zeros', async () => {
    await put('a', 'content');
    const file = await open('a', {});
    await file.truncate(3);
    expect(await text('a')).toBe('con');
    await file.truncate(4);
    expect(await text('a')).toBe('con\0');
    await file.sync();
  });

  it('take the place of another when they are renamed', async () => {
    await put('a', 'new');
    await put('b', 'old');
    await files.rename(join(root, 'a'), join(root, 'b'));
    await files.syncDirectory(root);
    expect([...(await files.list(root))]).toEqual(['b']);
    expect(await text('b')).toBe('new');
  });

  it('stay readable for who has them open when they are removed', async () => {
    await put('a', 'content');
    const file = await open('a', { readOnly: true });
    await files.removeFile(join(root, 'a'));
    expect(await file.read(Buffer.alloc(7), 0)).toBe(7);
    expect(await files.list(root)).toEqual([]);
  });

  it('go with their directory, and one that is not there is no error', async () => {
    await files.makeDirectory(join(root, 'x/y/z'));
    await put('x/y/z/a', 'content');
    await files.removeDirectory(join(root, 'x'));
    await files.removeDirectory(join(root, 'x'));
    expect(await files.list(root)).toEqual([]);
  });

  it('may be made in a directory that is made twice', async () => {
    await files.makeDirectory(join(root, 'x/y'));
    await put('x/y/a', 'content');
    await files.makeDirectory(join(root, 'x/y'));
    expect(await text('x/y/a')).toBe('content');
  });

  it.each<[what: string, code: string, call: () => Promise<unknown>]>([
    ['opening what is not there', 'ENOENT', () => open('a', {})],
    ['reading what is not there', 'ENOENT', () => files.readFile(join(root, 'a'))],
    ['removing what is not there', 'ENOENT', () => files.removeFile(join(root, 'a'))],
    ['renaming what is not there', 'ENOENT', () => files.rename(join(root, 'a'), join(root, 'b'))],
    ['listing what is not there', 'ENOENT', () => files.list(join(root, 'a'))],
    ['syncing what is not there', 'ENOENT', () => files.syncDirectory(join(root, 'a'))],
    ['making a file where there is no directory', 'ENOENT', () => open('a/b', { create: true })],
    ['reading a directory', 'EISDIR', () => files.readFile(root)],
    ['opening a directory', 'EISDIR', () => files.open(root, {})],
  ])('tell of %s with %s', async (_, code, call) => {
    await expect(call()).rejects.toMatchObject({ code });
  });

  it('are not written to by who only reads', async () => {
    await put('a', 'content');
    const file = await open('a', { readOnly: true });
    await expect(file.write([Buffer.from('x')], 0)).rejects.toMatchObject({ code: 'EBADF' });
  });
});
