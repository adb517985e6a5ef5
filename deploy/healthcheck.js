// Ends with 0 when the node in this container is ready to serve, else with 1 and the reasons.
const listen = process.env.SLUICE_HTTP_LISTEN ?? '127.0.0.1:7451';
const port = listen.slice(listen.lastIndexOf(':') + 1);
try {
  const answer = await fetch(`http://127.0.0.1:${port}/readyz`, { signal: AbortSignal.timeout(2500) });
  console.log(await answer.text());
  process.exitCode = answer.ok ? 0 : 1;
} catch (error) {
  console.error(String(error.cause ?? error));
  process.exitCode = 1;
}
