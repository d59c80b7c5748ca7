import { BlockList, isIP } from "node:net";
import { SatelliteError } from "./errors.ts";
import { isLoopback } from "./loopback.ts";

/** The HTTP proxy through which a URL is reached; `undefined`: none. */
export type ProxyRule = (url: URL) => string | undefined;

/** A rule under which everything is reached directly. */
export const noProxy: ProxyRule = () => undefined;

type Matcher = (host: string, port: string) => boolean;

/**
 * The rule that HTTP_PROXY, HTTPS_PROXY and NO_PROXY state (or the same in lower case), as client-go and other
 * programs in Go read them (golang.org/x/net/http/httpproxy): the proxy goes by the URL's scheme; this machine is
 * always reached directly; NO_PROXY lists names (with all below them), names that begin with a dot (only those below),
 * addresses and networks, each with a port or without, or `*`. HTTP_PROXY does not count where REQUEST_METHOD is set,
 * since a CGI program would have it from its caller.
 *
 * @throws SatelliteError `ProxyInvalid` for a proxy that is no URL of an HTTP proxy
 */
export function readProxyRule(environment: Readonly<Record<string, string | undefined>>): ProxyRule {
  const read = (name: string): string =>
    [environment[name], environment[name.toLowerCase()]].find(
      (value) => value !== undefined && value !== "",
    ) ?? "";
  const isCgi = environment["REQUEST_METHOD"] !== undefined;
  const proxies: Readonly<Record<string, string | undefined>> = {
    "http:": isCgi ? undefined : proxyUrl("HTTP_PROXY", read("HTTP_PROXY")),
    "https:": proxyUrl("HTTPS_PROXY", read("HTTPS_PROXY")),
  };
  const exceptions = read("NO_PROXY")
    .split(",")
    .map((entry) => entry.trim().toLowerCase())
    .filter((entry) => entry !== "")
    .map(matcher);
  return (url) => {
    const proxy = proxies[url.protocol];
    const host = url.hostname.toLowerCase().replace(/^\[|\]$/g, "");
    const port = url.port === "" ? (url.protocol === "https:" ? "443" : "80") : url.port;
    if (proxy === undefined || isLoopback(host)) {
      return undefined;
    }
    return exceptions.some((matches) => matches(host, port)) ? undefined : proxy;
  };
}

function proxyUrl(name: string, value: string): string | undefined {
  if (value === "") {
    return undefined;
  }
  const text = value.includes("://") ? value : `http://${value}`;
  if (!URL.canParse(text) || !/^https?:$/.test(new URL(text).protocol)) {
    // The value may hold a password, so it is not repeated.
    throw new SatelliteError(
      "ProxyInvalid",
      `${name} must be the URL of an HTTP proxy, such as http://proxy.example:3128; a SOCKS proxy before the API ` +
        "server goes into the kubeconfig (proxy-url)",
    );
  }
  return text;
}

function isWithin(list: BlockList, host: string): boolean {
  const family = isIP(host);
  return family !== 0 && list.check(host, family === 6 ? "ipv6" : "ipv4");
}

function matcher(entry: string): Matcher {
  if (entry === "*") {
    return () => true;
  }
  const [network = "", bits] = entry.split("/");
  if (bits !== undefined) {
    const family = isIP(network);
    const length = /^\d{1,3}$/.test(bits) ? Number(bits) : Infinity;
    if (family === 0 || length > (family === 6 ? 128 : 32)) {
      return () => false;
    }
    const list = new BlockList();
    list.addSubnet(network, length, family === 6 ? "ipv6" : "ipv4");
    return (host) => isWithin(list, host);
  }
  const parts = isIP(entry) === 0 ? /^\[?(?<name>.*?)\]?(?::(?<port>\d+))?$/.exec(entry)?.groups : undefined;
  const name = parts?.["name"] ?? entry;
  const wanted = parts?.["port"];
  const isPort = (port: string): boolean => wanted === undefined || wanted === port;
  const family = isIP(name);
  if (family !== 0) {
    const list = new BlockList();
    list.addAddress(name, family === 6 ? "ipv6" : "ipv4");
    return (host, port) => isWithin(list, host) && isPort(port);
  }
  const suffix = name.startsWith("*.") ? name.slice(1) : name;
  return suffix.startsWith(".")
    ? (host, port) => host.endsWith(suffix) && isPort(port)
    : (host, port) => (host === suffix || host.endsWith(`.${suffix}`)) && isPort(port);
}
