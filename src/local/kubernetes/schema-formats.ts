import { isIP, isIPv4, isIPv6 } from "node:net";

const DATE = /^\d{4}-\d{2}-\d{2}$/;
const DATE_TIME = /^\d{4}-\d{2}-\d{2}[Tt]\d{2}:\d{2}:\d{2}(?:\.\d+)?(?:[Zz]|[+-]\d{2}:\d{2})$/;
// Go's MicroTime reads exactly six digits of a second.
const MICRO_TIME = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{6}(?:Z|[+-]\d{2}:\d{2})$/;
const UUID = /^[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}$/i;
const HOSTNAME =
  /^(?=.{1,255}$)[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?)*$/i;
const EMAIL = /^[^\s@]+@[^\s@]+$/;
const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;
const MAC = /^(?:[0-9a-f]{2}[:-]){5}[0-9a-f]{2}$/i;
// Go's units and the long ones that kube-openapi's `strfmt.ParseDuration` knows besides.
const DURATION = /^(?:[+-]?(?:\d+(?:\.\d*)?(?:ns|us|µs|ms|s|m|h))+|\d+\s*(?:ns|us|µs|ms|s|m|h|d|w|[a-z]+))$/;

function isRealDate(text: string): boolean {
  const day = text.slice(0, 10);
  const parsed = new Date(`${day}T00:00:00Z`);
  return !Number.isNaN(parsed.getTime()) && parsed.toISOString().startsWith(day);
}

function isCidr(text: string): boolean {
  const [address = "", bits = "", ...rest] = text.split("/");
  const family = isIP(address);
  return (
    rest.length === 0 && family !== 0 && /^\d{1,3}$/.test(bits) && Number(bits) <= (family === 4 ? 32 : 128)
  );
}

const CHECKS: Readonly<Record<string, (text: string) => boolean>> = {
  date: (text) => DATE.test(text) && isRealDate(text),
  "date-time": (text) =>
    DATE_TIME.test(text) && isRealDate(text) && !Number.isNaN(Date.parse(text.toUpperCase())),
  "micro-time": (text) => MICRO_TIME.test(text) && isRealDate(text),
  uuid: (text) => UUID.test(text),
  hostname: (text) => HOSTNAME.test(text),
  email: (text) => EMAIL.test(text),
  ipv4: isIPv4,
  ipv6: isIPv6,
  cidr: isCidr,
  uri: (text) => URL.canParse(text),
  byte: (text) => BASE64.test(text),
  mac: (text) => MAC.test(text),
  duration: (text) => DURATION.test(text),
};

/** Whether `text` has the string format; formats that kube-apiserver does not check either are always met. */
export function hasFormat(text: string, format: string): boolean {
  const check = Object.hasOwn(CHECKS, format) ? CHECKS[format] : undefined;
  return check === undefined || check(text);
}
