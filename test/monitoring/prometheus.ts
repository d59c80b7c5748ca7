import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { stringify } from "yaml";
import { eventually } from "../support/eventually.ts";
import { freePort, startProcess, type TestProcess } from "../support/process.ts";

/** What is scraped: "host:port", and the labels that the chart's ServiceMonitor would have added. */
export interface ScrapeTarget {
  readonly address: string;
  readonly labels: Readonly<Record<string, string>>;
}

/** One series of an answer; values are pairs of seconds and number. */
export interface Series {
  readonly metric: Readonly<Record<string, string>>;
  readonly values: readonly (readonly [number, number])[];
}

interface Answer {
  readonly status: "success" | "error";
  readonly error?: string;
  readonly data?: {
    readonly result: readonly {
      readonly metric: Readonly<Record<string, string>>;
      readonly value?: readonly [number, string];
      readonly values?: readonly (readonly [number, string])[];
    }[];
  };
}

/** A Prometheus of its own, which scrapes every second. */
export class TestPrometheus {
  readonly #process: TestProcess;
  readonly #folder: string;
  readonly #url: string;

  private constructor(started: TestProcess, folder: string, url: string) {
    this.#process = started;
    this.#folder = folder;
    this.#url = url;
  }

  /** Starts `program` and waits until it has scraped every target. */
  static async start(program: string, targets: readonly ScrapeTarget[]): Promise<TestPrometheus> {
    const folder = mkdtempSync(join(tmpdir(), "satellites-prometheus-"));
    const config = join(folder, "prometheus.yml");
    writeFileSync(
      config,
      stringify({
        global: { scrape_interval: "1s", scrape_timeout: "1s" },
        scrape_configs: [
          {
            job_name: "satellites",
            static_configs: targets.map(({ address, labels }) => ({ targets: [address], labels })),
          },
        ],
      }),
    );
    const address = `127.0.0.1:${await freePort()}`;
    const started = await startProcess(
      "prometheus",
      program,
      [
        `--config.file=${config}`,
        `--storage.tsdb.path=${join(folder, "data")}`,
        `--web.listen-address=${address}`,
      ],
      join(folder, "log"),
    );
    const prometheus = new TestPrometheus(started, folder, `http://${address}`);
    try {
      await eventually("Prometheus has scraped everything", async () => {
        if (!started.isRunning()) {
          throw new Error(started.logTail());
        }
        const up = await prometheus.query("up == 1").catch(() => []);
        return up.length === targets.length;
      });
    } catch (error) {
      await prometheus.stop();
      throw error;
    }
    return prometheus;
  }

  /** Series that an expression has now. @throws Error with Prometheus' own words when it is none */
  query(expression: string): Promise<Series[]> {
    return this.#ask("query", { query: expression });
  }

  /** Series over the last seconds, one value each second. */
  queryRange(expression: string, seconds: number): Promise<Series[]> {
    const end = Math.floor(Date.now() / 1000);
    return this.#ask("query_range", {
      query: expression,
      start: String(end - seconds),
      end: String(end),
      step: "1",
    });
  }

  async stop(): Promise<void> {
    await this.#process.stop("SIGTERM");
    rmSync(this.#folder, { recursive: true, force: true });
  }

  async #ask(what: string, parameters: Record<string, string>): Promise<Series[]> {
    const answer = await fetch(`${this.#url}/api/v1/${what}`, {
      method: "POST",
      body: new URLSearchParams(parameters),
    });
    const { data, error } = (await answer.json()) as Answer;
    if (data === undefined) {
      throw new Error(`${parameters["query"] ?? what}: ${error ?? answer.statusText}`);
    }
    return data.result.map(({ metric, value, values }) => ({
      metric,
      values: (values ?? (value === undefined ? [] : [value])).map(([at, text]) => [at, Number(text)]),
    }));
  }
}
