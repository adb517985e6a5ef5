import { getContainerRuntimeClient } from 'testcontainers';

type Runtime = Awaited<ReturnType<typeof getContainerRuntimeClient>>;

const LOG_LINES = 60;

/** What can be done to containers besides starting and removing them. */
export class Containers {
  readonly #runtime: Runtime;

  private constructor(runtime: Runtime) {
    this.#runtime = runtime;
  }

  static async connect(): Promise<Containers> {
    return new Containers(await getContainerRuntimeClient());
  }

  async kill(id: string): Promise<void> {
    await this.#runtime.container.getById(id).kill();
  }

  /** SIGTERM, and a minute to end. @returns the exit code */
  async stop(id: string): Promise<number> {
    const container = this.#runtime.container.getById(id);
    await container.stop({ t: 60 });
    return (await container.inspect()).State.ExitCode;
  }

  async start(id: string): Promise<void> {
    await this.#runtime.container.getById(id).start();
  }

  async pause(id: string): Promise<void> {
    await this.#runtime.container.getById(id).pause();
  }

  async unpause(id: string): Promise<void> {
    await this.#runtime.container.getById(id).unpause();
  }

  /** @param cores undefined: no bound */
  async limitCpu(id: string, cores: number | undefined): Promise<void> {
    const period = 100_000;
    await this.#runtime.container
      .getById(id)
      .update({ CpuPeriod: period, CpuQuota: cores === undefined ? -1 : Math.round(cores * period) });
  }

  /** The last lines of what it wrote. */
  async log(id: string): Promise<string> {
    const bytes = await this.#runtime.container
      .getById(id)
      .logs({ stdout: true, stderr: true, tail: LOG_LINES });
    return bytes.toString('utf8');
  }
}
