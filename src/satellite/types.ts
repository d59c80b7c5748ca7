/* Generated from crds/ by build/generate-types.ts ("npm run generate"). Do not edit. */

import type { ObjectMeta } from "./object-meta.ts";

/**
 * Where, and from what, the machines of satellites are made.
 */
export interface SatelliteClass {
  apiVersion: "satellites.dev/v1alpha1";
  kind: "SatelliteClass";
  metadata: ObjectMeta;
  /**
   * Where, and from what, machines are made, and who may have them.
   */
  spec: {
    /**
     * Namespaces whose satellites may use this class; all of them when absent.
     */
    allowedNamespaces?: {
      /**
       * Names of namespaces.
       */
      names?: string[];
      /**
       * Label selector on namespaces.
       */
      selector?: {
        /**
         * Labels that a namespace must have, all of them.
         */
        matchLabels?: {
          [k: string]: string;
        };
      };
    };
    /**
     * How many satellites of this class may be awake at once; machines that run and that no satellite names count, too.
     */
    maxAwake?: {
      /**
       * At most so many at once in one namespace; a further one wakes when another sleeps.
       */
      perNamespace?: number;
      /**
       * At most so many at once in all.
       */
      total?: number;
    };
    /**
     * What machines and their volumes cost, for the operator's metrics alone (satellites_cost_total). Decimal numbers, in quotes.
     */
    prices?: {
      /**
       * Currency of all prices, such as USD; for people and metrics alone.
       */
      currency: string;
      /**
       * Of each instance type, for an hour of running.
       */
      perHour?: {
        [k: string]: string;
      };
      /**
       * Of a GiB of root and data volumes, for a month of 730 hours.
       */
      perGiBMonth?: string;
    };
    /**
     * The EC2 account, network and disks.
     */
    ec2: {
      /**
       * AWS region, such as eu-central-1.
       */
      region: string;
      /**
       * IAM role that is assumed for machines of this class.
       */
      roleARN?: string;
      /**
       * The machine image; resolved for the satellite's architecture.
       */
      image: {
        /**
         * Name of the SSM parameter that holds the image's ID; "{architecture}" in it is replaced.
         */
        ssmParameter?: string;
        /**
         * ID of one image; it must have the architecture of each satellite that uses this class.
         */
        id?: string;
        /**
         * Newest image whose name matches; * and ? are wildcards.
         */
        nameFilter?: string;
        /**
         * Accounts (IDs, self, amazon) that may own an image found by nameFilter; self when absent.
         */
        owners?: string[];
      };
      /**
       * Subnets to launch in; where one zone has no capacity, the next is tried.
       */
      subnets: {
        /**
         * IDs of subnets, in order of preference.
         */
        ids?: string[];
        /**
         * Tags that a subnet must have, all of them; "*" as value means any.
         */
        tags?: {
          [k: string]: string;
        };
      };
      /**
       * Security groups of the machines. Only routers need to reach spec.port of a satellite.
       */
      securityGroups: {
        /**
         * IDs of security groups.
         */
        ids?: string[];
        /**
         * Tags that a security group must have, all of them; "*" as value means any.
         */
        tags?: {
          [k: string]: string;
        };
      };
      /**
       * Always encrypted. Grown where hibernation needs room for memory.
       */
      rootVolume: {
        /**
         * Size of the root volume, in GiB.
         */
        sizeGiB: number;
        /**
         * EBS volume type.
         */
        type: "gp3" | "gp2" | "io1" | "io2";
        /**
         * Operations per second, for gp3, io1 and io2; the type's default when absent.
         */
        iops?: number;
        /**
         * Throughput in MiB/s, for gp3; the type's default when absent.
         */
        throughput?: number;
        /**
         * ID, alias or ARN of the KMS key; the account's default key for EBS when absent.
         */
        kmsKeyID?: string;
      };
      /**
       * A second volume, for the cache: it outlives the machine, which a new image replaces, keeps the satellite in its zone, and goes with the satellite. Machines that are launched from now on have it. Always encrypted.
       */
      dataVolume?: {
        /**
         * Size of the data volume, in GiB.
         */
        sizeGiB: number;
        /**
         * EBS volume type.
         */
        type: "gp3" | "gp2" | "io1" | "io2";
        /**
         * Operations per second, for gp3, io1 and io2; the type's default when absent.
         */
        iops?: number;
        /**
         * Throughput in MiB/s, for gp3; the type's default when absent.
         */
        throughput?: number;
        /**
         * ID, alias or ARN of the KMS key; the account's default key for EBS when absent.
         */
        kmsKeyID?: string;
      };
      /**
       * Name or ARN of the instance profile; none when absent, since the guest runs code that nobody trusts.
       */
      instanceProfile?: string;
      /**
       * Further tags for every resource.
       */
      tags?: {
        [k: string]: string;
      };
    };
    /**
     * Whether a sleeping machine is replaced when the class has another image by now. A replaced machine's own disk is lost, so IfDataKept replaces only those whose data is on a data volume; Always replaces all; Never none.
     */
    imageUpdates: "IfDataKept" | "Always" | "Never";
    /**
     * What is done about a machine that runs while its port is silent: each step once, after a silence of its own, and never while a router may have streams open to it. Absent, it is as with an empty one.
     */
    recovery?: {
      /**
       * How long the port must have been silent before each step; the operator's own time, 5m, when absent.
       */
      unhealthyAfter?: string;
      /**
       * The last step. None only says that the port is silent; Reboot reboots the machine; Restart then stops and starts it, on another host; Replace then puts another machine in its place, beside it as for a new image: the data volume goes with it, and the machine's own disk is lost.
       */
      action: "None" | "Reboot" | "Restart" | "Replace";
      /**
       * At most so many steps for one satellite in an hour; the next one waits.
       */
      maxPerHour: number;
    };
    /**
     * Names of sizes, each with instance types in order of preference.
     */
    sizes: {
      [k: string]: {
        /**
         * EC2 instance types in order of preference: the first one that has the architecture, can hibernate where that is wished, and has capacity.
         */
        types: string[];
      };
    };
    /**
     * Key of sizes for satellites that name none.
     */
    defaultSize: string;
    /**
     * What runs in the VM.
     */
    guest: {
      /**
       * buildkit makes a stock image with cloud-init a BuildKit server within the limits below, by user data; custom runs the user data of userDataSecretRef; image means that the image holds all that is needed.
       */
      kind: "buildkit" | "custom" | "image";
      /**
       * Required: the VM serves TLS, and nothing is sent to it before it has shown the key that it was first ready with, so that no other VM at its address is taken for it. "Off", in quotes (a bare Off is a boolean in YAML): plain text, for guests that cannot serve TLS. Holds for machines that are launched from now on.
       */
      tls: "Required" | "Off";
      /**
       * Most of all CPUs that builds may take; the rest keeps BuildKit and the guest responsive.
       */
      cpuPercent: number;
      /**
       * Most of the memory that builds and BuildKit may take. The system keeps 192 MiB in any case, and the daemon a part that no build can take.
       */
      memoryPercent: number;
      /**
       * Most swap that builds and BuildKit may take, in percent of the memory. 0 ends a build that needs more memory at once, and leaves the swap to hibernation.
       */
      swapPercent: number;
      /**
       * Most processes and threads of all builds of a satellite together.
       */
      maxProcesses: number;
      /**
       * Share of the disk that BuildKit's cache leaves free; old cache is collected for it.
       */
      diskReservePercent: number;
      /**
       * BuildKit's version. An image that holds it is used as it is; any other downloads the release archive at its first boot. Default: 0.33.1. Another version needs archive.sha256, or an image that holds it.
       */
      version?: string;
      /**
       * Where the release archive is had, and what it must be: a gzipped tar file with bin/buildkitd and bin/buildkit-runc in it.
       */
      archive?: {
        /**
         * With {version} and {architecture} (amd64, arm64) in it, for a mirror or a BuildKit of your own. Default: BuildKit's releases on GitHub.
         */
        url?: string;
        /**
         * SHA-256 by architecture, "amd64" and "arm64".
         */
        sha256: {
          [k: string]: string;
        };
      };
      /**
       * Proxies of the guest, for the download and for BuildKit's requests to registries.
       */
      proxy?: {
        /**
         * Proxy for http URLs.
         */
        http?: string;
        /**
         * Proxy for https URLs.
         */
        https?: string;
        /**
         * Hosts, domains and networks that are asked directly, separated by commas.
         */
        noProxy?: string;
      };
      /**
       * Mirrors by registry, such as docker.io, each as host or host/path; tried in order.
       */
      registryMirrors?: {
        [k: string]: string[];
      };
      /**
       * Certificates (PEM) of authorities that the download and BuildKit trust beside the image's own, for private registries and mirrors.
       */
      caCertificates?: string;
      /**
       * Most build steps that run at once; no limit when absent.
       */
      maxParallelism?: number;
      /**
       * Whether routers answer for a satellite that sleeps what its BuildKit would say of itself (its workers and its version), so that docker buildx ls and inspect do not wake it. false holds from its next wake on.
       */
      answersAsleep: boolean;
      /**
       * What builds may ask for that takes down the wall between a build and its VM. None by default: whoever has them may read the VM's key and change its limits.
       */
      insecureEntitlements?: ("network.host" | "security.insecure" | "device")[];
      /**
       * Further lines of buildkitd.toml. Tables [[worker.oci.gcpolicy]] take the place of diskReservePercent, so they need a minFreeSpace and a maxUsedSpace of their own. Tables that the other fields write already cannot be written twice.
       */
      extraConfig?: string;
      /**
       * Secret in the operator's namespace; its key "userData" is used.
       */
      userDataSecretRef?: {
        /**
         * Name of the Secret.
         */
        name: string;
      };
    };
  };
  /**
   * What the class comes to now. Written by the operator.
   */
  status: {
    /**
     * The metadata.generation that this status was made of; -1 before the first time.
     */
    observedGeneration?: number;
    /**
     * Size of the own disk of a machine of this class, in GiB; what a satellite costs is shown by it.
     */
    diskGiB?: number;
    /**
     * What the class comes to now.
     */
    resolved?: {
      /**
       * ID of the image for each architecture.
       */
      images?: {
        [k: string]: string;
      };
      /**
       * IDs of the subnets; the first 16 where tags match more.
       */
      subnets?: string[];
      /**
       * IDs of the security groups; the first 16 where tags match more.
       */
      securityGroups?: string[];
    };
    /**
     * What is the case, each with the reason; docs/api.md lists the types.
     */
    conditions?: {
      /**
       * Name of the condition, in CamelCase.
       */
      type: string;
      /**
       * Whether it is the case; Unknown where that cannot be told yet.
       */
      status: "True" | "False" | "Unknown";
      /**
       * Why, in one CamelCase word, for programs.
       */
      reason: string;
      /**
       * Why, in a sentence, and what to do about it.
       */
      message: string;
      /**
       * When status changed last.
       */
      lastTransitionTime: string;
      /**
       * The metadata.generation that the condition was made of.
       */
      observedGeneration?: number;
    }[];
  };
}

/**
 * A VM that sleeps when nobody uses it and wakes for the next request.
 */
export interface Satellite {
  apiVersion: "satellites.dev/v1alpha1";
  kind: "Satellite";
  metadata: ObjectMeta;
  /**
   * What is wished.
   */
  spec: {
    /**
     * "on" or "off", in quotes: a bare on or off is a boolean in YAML. Set at run time by routers, the operator and people, as an autoscaler sets replicas; manifests kept in git leave it out.
     */
    desiredPower: "on" | "off";
    /**
     * Name of the SatelliteClass that says where and from what the machine is made.
     */
    className: string;
    /**
     * Key of the class's sizes; the class's defaultSize when absent. A change applies at the next sleep.
     */
    size?: string;
    /**
     * Processor architecture of the machine.
     */
    architecture: "amd64" | "arm64";
    /**
     * How long nobody may use it before it sleeps, e.g. 30m. "0s" means never; else at least 5s.
     */
    idleTimeout: string;
    /**
     * Hibernate keeps memory and falls back to Stop where the machine cannot hibernate.
     */
    sleepMode: "Hibernate" | "Stop";
    /**
     * OnRequest wakes it for a request; Manual refuses requests while it sleeps.
     */
    wakePolicy: "OnRequest" | "Manual";
    /**
     * How long an "off" by a person waits for open streams.
     */
    drainTimeout: string;
    /**
     * gRPC port in the VM.
     */
    port: number;
    /**
     * When a new size may be applied to a sleeping machine; at any time when absent.
     */
    maintenance?: {
      /**
       * Time of day, HH:MM.
       */
      start: string;
      /**
       * How long the window is open, such as 2h; at most 24h.
       */
      duration: string;
      /**
       * IANA time zone.
       */
      timeZone: string;
      /**
       * Days on which the window opens; every day when absent.
       */
      days?: ("Mon" | "Tue" | "Wed" | "Thu" | "Fri" | "Sat" | "Sun")[];
    };
    /**
     * Cron expressions (minute hour day month weekday) at which it is woken, in the time zone of maintenance, or UTC.
     */
    wakeSchedule?: string[];
    /**
     * What follows when somebody else terminated the machine: Relaunch makes a new one, with an empty disk; Fail leaves it at that until it is set to Relaunch.
     */
    machineLossPolicy: "Relaunch" | "Fail";
    /**
     * Delete terminates the machine with the satellite; Retain keeps it, stopped and retagged.
     */
    deletionPolicy: "Delete" | "Retain";
  };
  /**
   * What is. Written by the operator, but for activity, which routers write.
   */
  status: {
    /**
     * What the satellite is doing, for people; derived from the rest.
     */
    phase?:
      | "Pending"
      | "Launching"
      | "Running"
      | "Draining"
      | "Stopping"
      | "Asleep"
      | "Waking"
      | "Updating"
      | "Failed"
      | "Deleting";
    /**
     * The metadata.generation that this status was made of; -1 before the first time.
     */
    observedGeneration?: number;
    /**
     * What the operator is doing with the machine's power; written before the cloud is asked.
     */
    power: {
      /**
       * Off, Starting, Running, Stopping or Updating; see docs/power-protocol.md.
       */
      state: "Off" | "Starting" | "Running" | "Stopping" | "Updating";
      /**
       * Goes up at every start; names one stretch of being awake.
       */
      epoch: number;
      /**
       * Whether the cloud accepted the call that this state stands for.
       */
      accepted: boolean;
      /**
       * Counts the leaders that took over the start of this epoch.
       */
      fence: number;
      /**
       * Why, in CamelCase, e.g. Idle, DesiredOff, Draining, Deleting, Refresh.
       */
      reason?: string;
      /**
       * When this state was written.
       */
      since?: string;
      /**
       * How a Stopping machine is being put to sleep.
       */
      sleepKind?: "Hibernate" | "Stop";
    };
    /**
     * One lease per router on being awake, keyed by router.
     */
    activity: {
      [k: string]: {
        /**
         * Goes up with every write of this router.
         */
        seq: number;
        /**
         * How long the machine must stay awake for this router, counted from when the operator sees the entry.
         */
        validSeconds: number;
        /**
         * Streams that are open or wait at this router.
         */
        openStreams: number;
        /**
         * The router has no stream open on this epoch and admits none any more.
         */
        drainedEpoch?: number;
        /**
         * Who has kept it awake through this router for longest, as of time: the oldest open stream, else the oldest request that is held. Absent where there is none.
         */
        oldestStream?: {
          /**
           * As RBAC knows them; absent where the router asks nobody for a name.
           */
          user?: string;
          /**
           * The gRPC method, without what was sent to it.
           */
          method: string;
          /**
           * When the request came.
           */
          since: string;
        };
        /**
         * When the router wrote it, by the router's clock; for people.
         */
        time: string;
      };
    };
    /**
     * The machine that is used.
     */
    machine?: {
      /**
       * ID of the EC2 instance.
       */
      id: string;
      /**
       * EC2 instance type.
       */
      type?: string;
      /**
       * Key of the class's sizes that the type is from.
       */
      size?: string;
      /**
       * Availability zone.
       */
      zone?: string;
      /**
       * ID of the image that it was launched from.
       */
      image?: string;
      /**
       * When it was launched.
       */
      launchedAt?: string;
      /**
       * Boot ID that the guest told; another one after a wake means that memory was lost.
       */
      bootID?: string;
      /**
       * What its BuildKit told, with a guest of kind buildkit.
       */
      buildkit?: {
        /**
         * BuildKit's version.
         */
        version: string;
        /**
         * Size of its cache, in bytes, as measured last: before it fell asleep for idleness, and each hour while it is awake and nobody uses it.
         */
        cacheBytes?: number;
        /**
         * How large its cache may get, in bytes, before the oldest is collected. Absent where BuildKit's configuration names no such bound.
         */
        cacheMaxBytes?: number;
      };
      /**
       * What routers answer in its place while the satellite sleeps: the last answer of a method that takes no argument, by the path of the method; serialized, in base64.
       */
      answers?: {
        [k: string]: string;
      };
      /**
       * The cloud's scheduled event for which it was stopped last.
       */
      answeredEvent?: string;
      /**
       * Why its memory cannot be relied on; absent where nothing speaks against it. Refused holds for the life of the machine, and it is stopped instead; MemoryLost until it has woken again with its memory.
       */
      hibernation?: {
        /**
         * Refused: EC2 does not hibernate it. MemoryLost: it hibernated, and booted anew.
         */
        trouble: "Refused" | "MemoryLost";
        /**
         * Why, in EC2's or the guest's words, and what to do.
         */
        message: string;
      };
    };
    /**
     * Where the VM's gRPC port is.
     */
    endpoint?: {
      /**
       * Private address of the machine.
       */
      host: string;
      /**
       * Port of the machine; spec.port.
       */
      port: number;
      /**
       * What the class asked for when the machine was launched. Required without tlsFingerprint: no router connects. Absent, on machines from before there was TLS: "Off".
       */
      tls?: "Required" | "Off";
      /**
       * SHA-256 of the public key (SubjectPublicKeyInfo, DER) that the machine showed when it was first ready, in hex. A VM that shows another is another VM.
       */
      tlsFingerprint?: string;
    };
    /**
     * How it sleeps now; absent while awake.
     */
    sleep?: {
      /**
       * Hibernated kept memory and disk; Stopped kept the disk alone.
       */
      kind: "Hibernated" | "Stopped";
      /**
       * When it fell asleep.
       */
      since: string;
      /**
       * Why it sleeps in this way, e.g. why it could not hibernate.
       */
      reason?: string;
    };
    /**
     * The written intent of the launch; every parameter, so that a retry is the same request.
     */
    launch?: {
      /**
       * Number of the launch; a new one gets a new token.
       */
      attempt: number;
      /**
       * EC2's client token: a repeated request with it makes no second machine.
       */
      token: string;
      /**
       * EC2 instance type.
       */
      type?: string;
      /**
       * Key of the class's sizes that the type is from.
       */
      size?: string;
      /**
       * Availability zone.
       */
      zone?: string;
      /**
       * ID of the image.
       */
      image?: string;
      /**
       * Whether the machine is to be able to hibernate.
       */
      hibernate?: boolean;
      /**
       * What the cloud needs beside that to repeat the launch; its own, and read by nobody else.
       */
      details?: {
        [k: string]: string;
      };
      /**
       * Written by versions before, as securityGroups, rootVolume and instanceProfile; in details now.
       */
      subnet?: string;
      /**
       * IDs of the security groups.
       */
      securityGroups?: string[];
      /**
       * What the root volume is to be like.
       */
      rootVolume?: {
        /**
         * Size, in GiB.
         */
        sizeGiB: number;
        /**
         * EBS volume type.
         */
        type: string;
        /**
         * Operations per second; the type's default when absent.
         */
        iops?: number;
        /**
         * Throughput in MiB/s; the type's default when absent.
         */
        throughput?: number;
        /**
         * KMS key; the account's default key for EBS when absent.
         */
        kmsKeyID?: string;
      };
      /**
       * What the data volume is to be like, which is made once the machine is there.
       */
      dataVolume?: {
        /**
         * Size, in GiB.
         */
        sizeGiB: number;
        /**
         * EBS volume type.
         */
        type: string;
        /**
         * Operations per second; the type's default when absent.
         */
        iops?: number;
        /**
         * Throughput in MiB/s; the type's default when absent.
         */
        throughput?: number;
        /**
         * KMS key; the account's default key for EBS when absent.
         */
        kmsKeyID?: string;
      };
      /**
       * Name or ARN of the instance profile; none when absent.
       */
      instanceProfile?: string;
      /**
       * SHA-256 of the user data, which itself is not kept here.
       */
      userDataHash?: string;
      /**
       * The class's metadata.generation that the launch was made of.
       */
      classGeneration?: number;
      /**
       * Whether the guest is to serve TLS.
       */
      tls?: "Required" | "Off";
      /**
       * Tags of the machine and its volumes.
       */
      tags?: {
        [k: string]: string;
      };
    };
    /**
     * Launches and starts in a row that the cloud accepted and that did not last: the machine ended or stopped by itself before it was awake, or soon after. Absent when the last one was good.
     */
    attempts?: {
      /**
       * How many in a row.
       */
      failed: number;
      /**
       * Not before this time is it tried again, unless satellite or class change.
       */
      retryAt: string;
      /**
       * EC2's StateReason code of the last one, or ours.
       */
      reason: string;
      /**
       * What EC2 said of the last one.
       */
      message: string;
      /**
       * Instance type of the machine that ended.
       */
      type?: string;
      /**
       * What the attempt was decided on.
       */
      inputs?: string;
    };
    /**
     * The data volume, whose every parameter is written before it is made. It is kept when the machine is replaced.
     */
    volume?: {
      /**
       * ID of the EBS volume, once it is known.
       */
      id?: string;
      /**
       * Number of the creation; a new one gets a new token.
       */
      attempt: number;
      /**
       * EC2's client token: a repeated request with it makes no second volume.
       */
      token?: string;
      /**
       * Availability zone; the machine is launched there.
       */
      zone: string;
      /**
       * Size, in GiB.
       */
      sizeGiB?: number;
      /**
       * EBS volume type.
       */
      type?: string;
      /**
       * Operations per second; the type's default when absent.
       */
      iops?: number;
      /**
       * Throughput in MiB/s; the type's default when absent.
       */
      throughput?: number;
      /**
       * KMS key; the account's default key for EBS when absent.
       */
      kmsKeyID?: string;
      /**
       * When it was created.
       */
      createdAt?: string;
    };
    /**
     * The replacement of the machine by one of another image, that is under way or that failed.
     */
    replacement?: {
      /**
       * Launching makes the new machine; Returning goes back to the old one; Failed is over.
       */
      state: "Launching" | "Returning" | "Failed";
      /**
       * ID of the new image.
       */
      image: string;
      /**
       * When the replacement began.
       */
      since: string;
      /**
       * The new machine, which nobody uses yet.
       */
      machine?: {
        /**
         * ID of the EC2 instance.
         */
        id: string;
        /**
         * EC2 instance type.
         */
        type?: string;
        /**
         * Key of the class's sizes that the type is from.
         */
        size?: string;
        /**
         * Availability zone.
         */
        zone?: string;
        /**
         * ID of the image that it was launched from.
         */
        image?: string;
        /**
         * When it was launched.
         */
        launchedAt?: string;
      };
      /**
       * Why it failed, in one CamelCase word.
       */
      reason?: string;
      /**
       * Why it failed, and what to do about it.
       */
      message?: string;
    };
    /**
     * The machine that was replaced, until it is terminated.
     */
    retired?: {
      /**
       * ID of the EC2 instance.
       */
      id: string;
      /**
       * When it was replaced.
       */
      since: string;
    };
    /**
     * What is wrong with the machine, which decides what is done next; absent while nothing is. Rebooting, Restarting, Replacing and Unreachable are the steps against a silent port, each taken once; RecoveryPaused means that the class allows no further one for now; Stuck is one that does not finish starting or stopping; MachineLost one that is gone, and whose place none takes; OtherVM and TLSNotServed are what the last look at its port showed.
     */
    health?: {
      /**
       * What is wrong, or the step that was taken against it.
       */
      trouble:
        | "Rebooting"
        | "Restarting"
        | "Replacing"
        | "RecoveryPaused"
        | "Unreachable"
        | "Stuck"
        | "MachineLost"
        | "OtherVM"
        | "TLSNotServed";
      /**
       * What was seen, and what to do.
       */
      message: string;
    };
    /**
     * When steps against a silent port were taken, in the hour before the last of them; by these the class bounds them.
     */
    recoveries?: string[];
    /**
     * That it is not as wished; absent while it is. Those that wait for a place among the satellites that may be awake get it in the order in which this began.
     */
    unready?: {
      /**
       * When that began.
       */
      since: string;
      /**
       * Only a person can mend it, so that it waits for no place.
       */
      needsPerson?: boolean;
    };
    /**
     * When it was last used, for people.
     */
    lastActiveTime?: string;
    /**
     * Sums, brought up to date at transitions.
     */
    usage?: {
      /**
       * Seconds that the machine ran.
       */
      runningSeconds?: number;
      /**
       * Seconds that it slept.
       */
      asleepSeconds?: number;
      /**
       * How often it was woken.
       */
      wakes?: number;
    };
    /**
     * What is the case, each with the reason; docs/api.md lists the types.
     */
    conditions?: {
      /**
       * Name of the condition, in CamelCase.
       */
      type: string;
      /**
       * Whether it is the case; Unknown where that cannot be told yet.
       */
      status: "True" | "False" | "Unknown";
      /**
       * Why, in one CamelCase word, for programs.
       */
      reason: string;
      /**
       * Why, in a sentence, and what to do about it.
       */
      message: string;
      /**
       * When status changed last.
       */
      lastTransitionTime: string;
      /**
       * The metadata.generation that the condition was made of.
       */
      observedGeneration?: number;
    }[];
  };
}
