/// What `sluice init` writes: a fleet, a gateway and a service to change, with the choices explained where they are made.
package enum StarterManifests {
  /// Paths relative to the folder that was asked for, and their texts. Read together, they give no diagnostics.
  package static func files() -> [(path: String, text: String)] {
    [("fleet.yaml", fleet), ("gateway.yaml", gateway), ("service.yaml", service)]
  }

  private static let fleet = """
    # The hosts that Sluice deploys to. A rack is a failure domain: what one switch or one breaker takes down together.
    # `sluice hosts check -f fleet.yaml` tells whether they can be reached and have what is needed.
    apiVersion: sluice/v1
    kind: Fleet
    metadata: { name: prod }
    spec:
      ssh:
        user: deploy
        # identity: ~/.ssh/id_ed25519        # without it: the agent, and what ~/.ssh/config says for the host
        hostKeys: strict                     # `sluice hosts trust` records new keys; accept-new does so without asking
        become: sudo                         # sudo without a password; `none` where `user` has the rights itself
      racks:
        - name: rack-a
          hosts:
            - { name: a1, address: 192.0.2.11, slots: 4 }       # at most 4 instances, of all services
            - { name: a2, address: 192.0.2.12, slots: 4 }
        - name: rack-b
          hosts:
            # Where gateways reach instances at another address than SSH does:
            - { name: b1, address: b1.example.com, serviceAddress: 192.0.2.21, slots: 4 }
            # A host of gateways only:
            - { name: g1, address: 192.0.2.31, slots: 0 }

    """

  private static let gateway = """
    # The reverse proxy in front of the services. Sluice installs and upgrades it over SSH.
    apiVersion: sluice/v1
    kind: Gateway
    metadata: { name: edge }
    spec:
      fleet: prod
      hosts: [g1]                            # name two, and put a load balancer or DNS in front, to survive the loss of one
      listen: [{ address: 0.0.0.0, port: 80 }]
      # trustedProxies: [10.0.0.0/8]         # whose X-Forwarded-For is believed
      # health: { address: 0.0.0.0, port: 8081 }   # where a load balancer in front asks whether it takes traffic

    """

  private static let service = """
    # What to run, how many of it, and how to release it. `sluice plan` shows what `sluice apply` would do.
    apiVersion: sluice/v1
    kind: Service
    metadata: { name: shop }
    spec:
      fleet: prod
      replicas: 4
      artifact: { path: build/shop.tar.gz }  # or { directory: build/shop }
      run:
        # A relative program is below the unpacked artifact. It must listen on the address and port that it is given.
        command: [bin/shop, --listen, "${ADDRESS}:${PORT}"]
        env: { LOG_LEVEL: info }
        # secrets: { DATABASE_URL: { fromEnv: SHOP_DATABASE_URL } }   # or fromFile, fromCommand; never written here
        # limits: { memory: 512MiB, cpu: 50% }
        # user: shop                         # who it runs as
      health:
        readiness: { http: { path: /healthz, status: 200 }, interval: 1s, timeout: 1s, rise: 2, fall: 3 }
        startTimeout: 30s
        minHealthyTime: 5s                   # how long a new instance must stay healthy before the next is touched
      drain: { timeout: 30s }                # how long an old instance may take to answer what it accepted
      route:
        gateway: edge
        hosts: [shop.example.com]
        balance: leastConnections            # or roundRobin
      strategy:
        rolling: { maxUnavailable: 0, maxSurge: 1, order: rack }
        # recreate: { queue: 20s }           # instead, for a single replica without a free slot: requests wait meanwhile
        # blueGreen: { preview: { hosts: [next.shop.example.com] }, keepOld: 10m }   # a whole second pool; all users move at once
        # canary: { steps: [{ users: 10%, hold: 5m }, { users: 50%, hold: 5m }], analysis: { maxErrorRate: 1% } }   # users by shares
      onFailure: rollback                    # or pause

    """
}
