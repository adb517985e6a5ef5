const STREAM_ERROR = /^(?:StreamReset|StreamStopped)\((\d+)\)$/;

/** The code with which the peer reset or stopped a stream, out of what the binding throws; undefined for anything else. */
export function peerErrorCode(error: unknown): number | undefined {
  const match = error instanceof Error ? STREAM_ERROR.exec(error.message) : null;
  return match === null ? undefined : Number(match[1]);
}

/** Whether the binding refused because the peer allows no more streams now. */
export function isStreamLimit(error: unknown): boolean {
  return error instanceof Error && error.message === 'StreamLimit';
}
