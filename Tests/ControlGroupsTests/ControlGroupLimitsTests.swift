import Testing

@testable import ControlGroups

@Suite struct ControlGroupLimitsTests {
    private static let unifiedMount = "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
    private static let legacyMounts = """
        31 30 0:27 / /sys/fs/cgroup/cpu,cpuacct rw shared:9 - cgroup cgroup rw,cpu,cpuacct
        32 30 0:28 / /sys/fs/cgroup/memory rw shared:10 - cgroup cgroup rw,memory
        33 30 0:29 / /sys/fs/cgroup/pids rw shared:11 - cgroup cgroup rw,pids
        34 30 0:30 / /sys/fs/cgroup/unified rw shared:12 - cgroup2 cgroup2 rw

        """

    private func limits(_ membership: String, _ mounts: String, _ files: [String: String]) -> ControlGroupLimits {
        ControlGroupLimits(membership: membership, mounts: mounts) { files[$0] }
    }

    @Test func `the tightest group from the process's own up to the root counts`() {
        let limits = limits(
            "0::/kfacd.slice/kfacd-worker@0.service\n", Self.unifiedMount,
            [
                "/sys/fs/cgroup/kfacd.slice/kfacd-worker@0.service/cpu.max": "400000 100000\n",
                "/sys/fs/cgroup/kfacd.slice/cpu.max": "250000 100000\n",
                "/sys/fs/cgroup/kfacd.slice/kfacd-worker@0.service/memory.max": "8589934592\n",
                "/sys/fs/cgroup/kfacd.slice/memory.max": "max\n",
                "/sys/fs/cgroup/memory.max": "17179869184\n",
            ])
        #expect(limits.processors == 2.5)
        #expect(limits.memoryBytes == 8 << 30)
    }

    @Test func `memory above the high mark is not counted on`() {
        let limits = limits(
            "0::/a\n", Self.unifiedMount,
            ["/sys/fs/cgroup/a/memory.max": "8192\n", "/sys/fs/cgroup/a/memory.high": "4096\n"])
        #expect(limits.memoryBytes == 4096)
    }

    @Test func `no quota is no limit`() {
        let limits = limits(
            "0::/a\n", Self.unifiedMount,
            ["/sys/fs/cgroup/a/cpu.max": "max 100000\n", "/sys/fs/cgroup/a/memory.max": "max\n"])
        #expect(limits.processors == nil)
        #expect(limits.memoryBytes == nil)
    }

    @Test func `the first version's hierarchies are read by controller`() {
        let limits = limits(
            "9:cpu,cpuacct:/jobs/one\n5:memory:/jobs/two\n0::/elsewhere\n", Self.legacyMounts,
            [
                "/sys/fs/cgroup/cpu,cpuacct/jobs/one/cpu.cfs_quota_us": "-1\n",
                "/sys/fs/cgroup/cpu,cpuacct/jobs/one/cpu.cfs_period_us": "100000\n",
                "/sys/fs/cgroup/cpu,cpuacct/jobs/cpu.cfs_quota_us": "150000\n",
                "/sys/fs/cgroup/cpu,cpuacct/jobs/cpu.cfs_period_us": "100000\n",
                "/sys/fs/cgroup/memory/jobs/two/memory.limit_in_bytes": "9223372036854771712\n",
                "/sys/fs/cgroup/memory/jobs/memory.limit_in_bytes": "1048576\n",
                "/sys/fs/cgroup/memory/jobs/one/memory.limit_in_bytes": "1\n",
            ])
        #expect(limits.processors == 1.5)
        #expect(limits.memoryBytes == 1 << 20)
    }

    @Test func `in a container the mount shows a part of the hierarchy`() {
        let mounts = "30 23 0:26 /docker/4f /sys/fs/cgroup ro - cgroup2 cgroup rw\n"
        let limits = limits(
            "0::/docker/4f/inner\n", mounts,
            ["/sys/fs/cgroup/inner/cpu.max": "100000 100000", "/sys/fs/cgroup/cpu.max": "50000 100000"])
        #expect(limits.processors == 0.5)
    }

    @Test func `a group outside of what is mounted has the mount point's limits`() {
        let limits = limits(
            "0::/../other\n", Self.unifiedMount, ["/sys/fs/cgroup/cpu.max": "100000 100000"])
        #expect(limits.processors == 1)
    }

    @Test func `a name with blanks and colons is found`() {
        let mounts = "30 23 0:26 / /my\\040groups rw - cgroup2 cgroup2 rw\n"
        let limits = limits("0::/a b:c\n", mounts, ["/my groups/a b:c/memory.max": "4096"])
        #expect(limits.memoryBytes == 4096)
    }

    @Test(arguments: ["", "nonsense\n", "0::relative\n", "1 2 3 4 5 6 - cgroup2\n", "0::/a\n"])
    func `what cannot be understood limits nothing`(text: String) {
        let limits = limits(text, text + Self.unifiedMount, ["/sys/fs/cgroup/a/cpu.max": "x y", "/x": "1"])
        #expect(limits.processors == nil)
        #expect(limits.memoryBytes == nil)
    }

    @Test func `lanes and memory are what both the machine and the groups allow`() {
        var limits = limits("", "", [:])
        let (exact, more) = (
            MachineCapacity(affinity: 8, availableMemory: 1000, limits: limits),
            MachineCapacity(affinity: 8, availableMemory: 1004, limits: limits)
        )
        #expect((exact.processors, exact.memoryBytes) == (more.processors, more.memoryBytes))
        limits.processors = 2.5
        limits.memoryBytes = 500
        let capacity = MachineCapacity(affinity: 8, availableMemory: 1000, limits: limits)
        #expect(capacity.processors == 3)
        #expect(capacity.memoryBytes == 400)
        limits.processors = 0.1
        #expect(MachineCapacity(affinity: 8, availableMemory: 1000, limits: limits).processors == 1)
        limits.processors = .infinity
        #expect(MachineCapacity(affinity: 8, availableMemory: 1000, limits: limits).processors == 8)
    }

    @Test func `this machine has at least a lane and some memory`() {
        let capacity = MachineCapacity.current()
        #expect(capacity.processors >= 1)
        #expect(capacity.memoryBytes > 0)
    }
}
