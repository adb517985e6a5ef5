import type { DestinationStream, Level } from 'pino';
import { pino } from 'pino';

/** Fields of a log record besides `evt`. */
export type LogFields = Readonly<Record<string, unknown>>;

/**
 * Writes log records. Each begins with a stable event name, `area.what_happened`, that people search and alert on; there is
 * no free text. Never called once per message.
 */
export interface Logger {
  debug(evt: string, fields?: LogFields): void;
  info(evt: string, fields?: LogFields): void;
  warn(evt: string, fields?: LogFields): void;
  error(evt: string, fields?: LogFields): void;
  /** A logger that adds `fields` to every record. */
  child(fields: LogFields): Logger;
}

/** How much a logger writes, how and where. */
export interface LoggerOptions {
  readonly level: Level | 'silent';
  /** One JSON object per line, or text for people. */
  readonly format: 'json' | 'text';
  /** Fields of every record, such as the node's id. */
  readonly fields?: LogFields;
  /** Where lines go; default standard error, written synchronously so that the last words of a process are not lost. */
  readonly destination?: DestinationStream;
}

/** Fields whose values are never written, on the record itself and one level below. */
const SECRET_FIELDS = ['token', 'adminToken', 'secret', 'password', 'authorization', 'privateKeyPem', 'key'];

/** Creates a logger: pino underneath, secrets replaced, errors written with code and cause. */
export function createLogger(options: LoggerOptions): Logger {
  const destination = options.destination ?? pino.destination({ dest: 2, sync: true });
  const root = pino(
    {
      level: options.level,
      base: null,
      serializers: { error: serializeError },
      redact: { paths: SECRET_FIELDS.flatMap((field) => [field, `*.${field}`]), censor: '(secret)' },
      formatters: { level: (label) => ({ level: label }) },
      timestamp: pino.stdTimeFunctions.isoTime,
    },
    options.format === 'text' ? textLines(destination) : destination,
  );
  return wrap(options.fields === undefined ? root : root.child(options.fields));
}

/** A logger that writes nothing. */
export const silentLogger: Logger = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
  child: () => silentLogger,
};

type PinoLogger = Pick<ReturnType<typeof pino>, 'debug' | 'info' | 'warn' | 'error'> & {
  child(fields: LogFields): PinoLogger;
};

function wrap(logger: PinoLogger): Logger {
  // The event name comes first among the fields: `evt` is put there, not left to pino, which writes its message last.
  return {
    debug: (evt, fields) => logger.debug({ evt, ...fields }),
    info: (evt, fields) => logger.info({ evt, ...fields }),
    warn: (evt, fields) => logger.warn({ evt, ...fields }),
    error: (evt, fields) => logger.error({ evt, ...fields }),
    child: (fields) => wrap(logger.child(fields)),
  };
}

/** Code, text and causes of an error; the stack only where the error is a defect, that is, has no code of ours. */
function serializeError(error: unknown): unknown {
  if (!(error instanceof Error)) return error;
  const code = (error as { code?: unknown }).code;
  return {
    ...(typeof code === 'string' ? { code } : { stack: error.stack }),
    message: error.message,
    ...(error.cause instanceof Error ? { cause: serializeError(error.cause) } : {}),
  };
}

/** Turns pino's JSON lines into `12:34:56.789 info  node.started node=a port=7450`. */
function textLines(destination: DestinationStream): DestinationStream {
  return {
    write(line) {
      const { level, time, evt, ...fields } = JSON.parse(line) as Record<string, unknown>;
      const clock = typeof time === 'string' ? time.slice(11, 23) : '';
      const pairs = Object.entries(fields).map(([name, value]) => ` ${name}=${asText(value)}`);
      destination.write(`${clock} ${String(level).padEnd(5)} ${String(evt)}${pairs.join('')}\n`);
    },
  };
}

/** Quoted where it would not read as one word, so that a line cannot be forged by a value. */
function asText(value: unknown): string {
  return typeof value === 'string' && /^[\w.:/@-]+$/.test(value) ? value : JSON.stringify(value);
}
