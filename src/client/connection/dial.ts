import { asSluiceError, SluiceError } from '../../kernel/errors.ts';
import { withDeadline } from '../deadline.ts';
import type { BrokerUrl } from './broker-url.ts';
import { OWN_AUTHORITY } from './connect-options.ts';
import type { ResolvedOptions } from './connect-options.ts';
import type { Dial } from './connection-supervisor.ts';
import type { ClientPorts } from '../ports.ts';
import { Session } from './session.ts';
import type { Transports } from './transports.ts';

/** Makes the function that opens a session at a URL: connection, certificate check, HELLO, WELCOME. */
export function createDial(
  options: ResolvedOptions,
  ports: ClientPorts,
  transports: Transports,
  software: string,
): Dial {
  const { clock } = ports;
  const { attemptTimeoutMs: timeoutMs, clientId, token } = options;
  return async (url, stop) => {
    const abort = new AbortController();
    const signal = AbortSignal.any([stop, abort.signal]);
    const onTimeout = (): SluiceError => {
      abort.abort();
      return new SluiceError(
        'TIMEOUT',
        `no answer from ${url.text} within ${timeoutMs} ms: is a broker running there?`,
      );
    };
    try {
      const transport = await transports.forScheme(url.scheme);
      const connecting = transport.connect({
        host: url.host,
        port: url.port,
        serverName: options.serverName,
        authoritiesPem: options.authoritiesPem,
        identity: options.identity,
        limits: options.limits,
        signal,
      });
      // The transport may hand out a connection in the very moment it was given up.
      connecting.then(
        (late) => (signal.aborted ? late.close(0, 'given up') : undefined),
        () => undefined,
      );
      const connection = await withDeadline(clock, timeoutMs, connecting, onTimeout);
      return await Session.open(
        url.text,
        connection,
        { clientId, clientSoftware: software, token },
        { clock, timeoutMs },
      );
    } catch (error) {
      throw explain(asSluiceError(error, 'CONNECT_FAILED'), url, options);
    }
  };
}

/** Says where it happened, and what to do where the error itself cannot know; the cause of an error with advice says the same without. */
function explain(error: SluiceError, url: BrokerUrl, options: ResolvedOptions): SluiceError {
  const { code } = error;
  const text = atUrl(error, url);
  const located = text === error.message ? error : new SluiceError(code, text, { cause: error });
  if (code !== 'CERTIFICATE_REJECTED' && code !== 'UNAUTHENTICATED') return located;
  const advice = code === 'UNAUTHENTICATED' ? strangerAdvice(options) : certificateAdvice(options);
  return new SluiceError(code, advice === '' ? text : `${text}. ${advice}`, { cause: located });
}

/** What happened, and where unless the text says that already. */
function atUrl({ message }: SluiceError, { host, port, text }: BrokerUrl): string {
  const isNamed = message.includes(`${host}:${port}`) || message.includes(`[${host}]:${port}`);
  return isNamed ? message : `${text}: ${message}`;
}

function certificateAdvice({ ownAuthorities, identity }: ResolvedOptions): string {
  const own =
    identity === undefined ? '' : " If it was the broker that refused, look at this client's certificate.";
  return ownAuthorities
    ? `The broker's certificate must be issued by the authority given as \`ca\` (or SLUICE_CA), for the host in the URL (or \`serverName\`).${own}`
    : `Give the authority that issued the broker's certificate as option \`ca\` or in SLUICE_CA; ${OWN_AUTHORITY}.${own}`;
}

/** Who has shown something and was refused is told why by the broker. */
function strangerAdvice({ token, identity }: ResolvedOptions): string {
  const hasShown = token !== '' || identity !== undefined;
  return hasShown ? '' : 'Say who this is with option `token` (or SLUICE_TOKEN), or `certificate` and `key`.';
}
