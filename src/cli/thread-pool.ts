/**
 * Imported first: the size of the pool that file operations run in is read once, when it is used first.
 *
 * Four threads, the default, would let a few readers of old records hold up the writes of everybody; see `READS_AT_ONCE` in
 * `log/disk/disk-shared.ts`.
 */
process.env['UV_THREADPOOL_SIZE'] ??= '16';
