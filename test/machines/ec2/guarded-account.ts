import { systemClock } from "../../../src/base/clock.ts";
import { createEc2Endpoint } from "../../../src/local/ec2/endpoint.ts";
import { listenOnLoopback } from "../../../src/local/ec2/http-server.ts";
import { Ec2Model } from "../../../src/local/ec2/model.ts";
import { VirtualHypervisor } from "../../../src/local/ec2/virtual-hypervisor.ts";
import type { WireRequest, WireResponse } from "../../../src/local/ec2/wire.ts";
import { silentLogger } from "../../../src/telemetry/logger.ts";
import { REGION } from "./ec2-account.ts";

/** An account that knows which access keys are good. */
export interface GuardedAccount {
  /** Where EC2, STS and, under `/container`, the agent for credentials of containers listen. */
  readonly url: string;
  /** What was asked of STS: the action, and the token or access key that it was asked with. */
  readonly stsCalls: string[];
  /** How many EC2 requests were refused for their access key. */
  readonly refusals: number;
  /** The only web identity token that STS accepts. */
  webIdentityToken: string;
  /** Refuses every access key, new ones too. */
  refusesAll: boolean;
  /** A new access key that is good. */
  issue(): string;
  /** Makes all access keys bad that were issued so far. */
  revoke(): void;
  close(): Promise<void>;
}

/** The local EC2 endpoint over HTTP, behind a check of the access key, and an STS that issues such keys for an hour. */
export async function startGuardedAccount(): Promise<GuardedAccount> {
  const common = { clock: systemClock, logger: silentLogger };
  const hypervisor = new VirtualHypervisor(systemClock);
  const model = new Ec2Model({ ...common, region: REGION, random: Math.random, hypervisor });
  await model.restore();
  const ec2 = createEc2Endpoint({ ...common, model });

  const good = new Set<string>();
  let issued = 0;
  const state = { webIdentityToken: "", refusesAll: false, stsCalls: [] as string[], refusals: 0 };
  const issue = (): string => {
    const key = `key-${++issued}`;
    good.add(key);
    return key;
  };
  const isGood = (key: string): boolean => good.has(key) && !state.refusesAll;

  const assumeRole = (action: string, shown: string, isAccepted: boolean): WireResponse => {
    state.stsCalls.push(`${action} ${shown}`);
    return isAccepted ? xml(200, roleXml(action, issue())) : xml(400, errorXml("ExpiredTokenException"));
  };

  const handle = async (request: WireRequest): Promise<WireResponse> => {
    if (request.path === "/container") {
      const AccessKeyId = issue();
      const body = { AccessKeyId, SecretAccessKey: "secret", Token: "session", Expiration: inAnHour() };
      return { status: 200, headers: { "content-type": "application/json" }, body: JSON.stringify(body) };
    }
    const form = new URLSearchParams(request.body);
    const key = /Credential=([^/]+)\//.exec(request.headers["authorization"] ?? "")?.[1] ?? "";
    const action = form.get("Action") ?? "";
    if (action === "AssumeRoleWithWebIdentity") {
      const token = form.get("WebIdentityToken") ?? "";
      return assumeRole(action, token, token === state.webIdentityToken);
    }
    if (action === "AssumeRole") {
      return assumeRole(action, key, good.has(key));
    }
    if (!isGood(key)) {
      state.refusals += 1;
      return xml(
        401,
        `<Response><Errors><Error><Code>AuthFailure</Code><Message>AWS was not able to validate the provided access credentials</Message></Error></Errors><RequestID>1</RequestID></Response>`,
      );
    }
    return await ec2.handle(request);
  };

  const server = await listenOnLoopback(handle, { port: 0, logger: silentLogger });
  return Object.assign(state, {
    url: server.url,
    issue,
    revoke: () => good.clear(),
    close: () => server.close(),
  });
}

function inAnHour(): string {
  return new Date(Date.now() + 3_600_000).toISOString();
}

function xml(status: number, body: string): WireResponse {
  return { status, headers: { "content-type": "text/xml" }, body };
}

function errorXml(code: string): string {
  return `<ErrorResponse><Error><Type>Sender</Type><Code>${code}</Code><Message>refused by the test</Message></Error><RequestId>1</RequestId></ErrorResponse>`;
}

function roleXml(action: string, key: string): string {
  const user =
    "<AssumedRoleUser><Arn>arn:aws:sts::1:assumed-role/a/b</Arn><AssumedRoleId>A:b</AssumedRoleId></AssumedRoleUser>";
  const credentials = `<Credentials><AccessKeyId>${key}</AccessKeyId><SecretAccessKey>secret</SecretAccessKey><SessionToken>session</SessionToken><Expiration>${inAnHour()}</Expiration></Credentials>`;
  return `<${action}Response><${action}Result>${user}${credentials}</${action}Result><ResponseMetadata><RequestId>1</RequestId></ResponseMetadata></${action}Response>`;
}
