import { accessSync, constants } from "node:fs";
import { InvalidArgumentError, Option } from "commander";
import { SatelliteError, toError } from "../base/errors.ts";
import { checkIssuers, checkIssuerUrl, type OidcIssuerSettings } from "../router/oidc/issuer-settings.ts";

/** What the flags say of one issuer. */
export interface OidcIssuerFlags {
  readonly url: string;
  audiences?: readonly string[];
  usernameClaim?: string;
  usernamePrefix?: string;
  groupsClaim?: string;
  groupsPrefix?: string;
  requiredClaims?: readonly string[];
  caFile?: string;
}

/** An issuer, and the authorities that its server's certificate is checked by. */
export interface OidcIssuerSetup {
  readonly settings: OidcIssuerSettings;
  readonly caFile?: string;
}

/** The value that stands for no prefix, as in kube-apiserver's flags. */
const NO_PREFIX = "-";

/**
 * The flags about OIDC issuers, named as kube-apiserver names its own. `--oidc-issuer` may come several times; each
 * other one belongs to the `--oidc-issuer` before it. The value of `--oidc-issuer` is the list of all.
 */
export function oidcFlags(): Option[] {
  const issuers: OidcIssuerFlags[] = [];
  const last = (): OidcIssuerFlags => {
    const issuer = issuers.at(-1);
    if (issuer === undefined) {
      throw new InvalidArgumentError("It belongs behind the --oidc-issuer that it is about.");
    }
    return issuer;
  };
  const single = (
    field: "usernameClaim" | "usernamePrefix" | "groupsClaim" | "groupsPrefix" | "caFile",
    flags: string,
    description: string,
  ): Option =>
    new Option(flags, description).argParser((text) => {
      const issuer = last();
      if (issuer[field] !== undefined) {
        throw new InvalidArgumentError(`It is given twice for ${issuer.url}.`);
      }
      issuer[field] = text;
      return text;
    });
  return [
    new Option(
      "--oidc-issuer <url>",
      "takes tokens of this OIDC issuer; several times for several, each with the flags below behind it",
    ).argParser((text): readonly OidcIssuerFlags[] => {
      try {
        checkIssuerUrl(text);
      } catch (error) {
        throw new InvalidArgumentError(toError(error).message);
      }
      issuers.push({ url: text });
      return issuers;
    }),
    new Option(
      "--oidc-audience <name...>",
      "audiences of which such a token must have one (default: those of --token-audience)",
    ).argParser((text) => {
      const issuer = last();
      issuer.audiences = [...(issuer.audiences ?? []), text];
      return text;
    }),
    single("usernameClaim", "--oidc-username-claim <name>", 'claim that is the user (default: "sub")'),
    single(
      "usernamePrefix",
      "--oidc-username-prefix <prefix>",
      'what the user begins with, "-" for nothing (default: the issuer\'s URL and "#")',
    ),
    single(
      "groupsClaim",
      "--oidc-groups-claim <name>",
      "claim with one group or several (default: no groups)",
    ),
    single(
      "groupsPrefix",
      "--oidc-groups-prefix <prefix>",
      'what groups begin with, "-" for nothing (default: the issuer\'s URL and "#")',
    ),
    new Option(
      "--oidc-required-claim <claim=value...>",
      "claims that such a token must have with this value",
    ).argParser((text) => {
      if (!/^[^=]+=/.test(text)) {
        throw new InvalidArgumentError("It must be of the form claim=value.");
      }
      const issuer = last();
      issuer.requiredClaims = [...(issuer.requiredClaims ?? []), text];
      return text;
    }),
    single(
      "caFile",
      "--oidc-ca-file <file>",
      "authorities of the issuer's server (PEM); those of Node.js when absent",
    ),
  ];
}

/**
 * Reads what the flags say.
 *
 * @param audiences those of tokens of the API server, for issuers without their own
 * @throws SatelliteError `OidcIssuerInvalid`
 */
export function readOidcIssuers(
  flags: readonly OidcIssuerFlags[],
  audiences: readonly string[],
): readonly OidcIssuerSetup[] {
  const setups = flags.map((issuer) => setupOf(issuer, audiences));
  checkIssuers(setups.map(({ settings }) => settings));
  return setups;
}

function setupOf(flags: OidcIssuerFlags, audiences: readonly string[]): OidcIssuerSetup {
  const { url, groupsClaim, caFile } = flags;
  const settings: OidcIssuerSettings = {
    url,
    audiences: flags.audiences ?? audiences,
    usernameClaim: flags.usernameClaim ?? "sub",
    usernamePrefix: prefixOf(flags.usernamePrefix, url),
    ...(groupsClaim === undefined ? {} : { groupsClaim }),
    groupsPrefix: prefixOf(flags.groupsPrefix, url),
    requiredClaims: (flags.requiredClaims ?? []).map((text) => {
      const at = text.indexOf("=");
      return [text.slice(0, at), text.slice(at + 1)];
    }),
  };
  if (caFile === undefined) {
    return { settings };
  }
  try {
    accessSync(caFile, constants.R_OK);
  } catch (cause) {
    throw new SatelliteError("OidcIssuerInvalid", `--oidc-ca-file ${caFile} of ${url} cannot be read`, {
      cause,
    });
  }
  return { settings, caFile };
}

function prefixOf(flag: string | undefined, url: string): string {
  return flag === undefined ? `${url}#` : flag === NO_PREFIX ? "" : flag;
}
