import CProgramStart
import Foundation
import Testing

@testable import ControlGroups

@Suite struct ProcessLimitsTests {
    /// 1000 pages in all, 300 of them data and stacks.
    private static let pages = "1000 200 50 10 0 300 0\n"

    private func limits(_ addressSpace: UInt64?, _ data: UInt64?) -> UInt64? {
        ProcessLimits(addressSpace: addressSpace, data: data, pages: Self.pages, pageBytes: 4096).memoryBytes
    }

    @Test func `without a limit nothing is limited`() {
        #expect(limits(nil, nil) == nil)
    }

    @Test func `what is mapped already is not there any more, and the tighter limit counts`() {
        #expect(limits(5000 * 4096, nil) == 4000 * 4096)
        #expect(limits(nil, 5000 * 4096) == 4700 * 4096)
        #expect(limits(5000 * 4096, 5000 * 4096) == 4000 * 4096)
        #expect(limits(999 * 4096, nil) == 0)
    }

    @Test func `a limit of each process is not shared, one of all of them is`() {
        let capacity = MachineCapacity(
            affinity: 4, availableMemory: 100 << 20, limits: .init(membership: "", mounts: "") { _ in nil },
            ownMemory: 30 << 20)
        #expect(capacity.memoryBytes == (30 << 20) / 5 * 4)
        #expect(capacity.memoryBytes(eachOf: 2) == (30 << 20) / 5 * 4)
        #expect(capacity.memoryBytes(eachOf: 10) == (10 << 20) / 5 * 4)
    }

    @Test func `this process may run on as many processors as nproc says`() throws {
        let process = Process()
        let output = Pipe()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = ["-u", "OMP_NUM_THREADS", "-u", "OMP_THREAD_LIMIT", "nproc"]
        process.standardOutput = output
        try process.run()
        let data = try #require(try output.fileHandleForReading.readToEnd())
        process.waitUntilExit()
        let count = Int(String(decoding: data, as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines))
        #expect(ProcessorAffinity.count == count)
    }

    @Test func `what the limits leave is held against what is needed, and the limit is named`() throws {
        let needs = ProcessNeeds(threads: 10, memoryBytes: 100 << 20, fileBytes: 1 << 20)
        func problem(_ addressSpace: UInt64?, _ data: UInt64?) -> String? {
            let limits = ProcessLimits(addressSpace: addressSpace, data: data, pages: Self.pages, pageBytes: 4096)
            return needs.memoryProblem(limits, stackBytes: 8 << 20)
        }
        #expect(problem(nil, nil) == nil)
        // 1000 pages are mapped; 300 of them are data and stacks.
        #expect(problem((180 << 20) + 1000 * 4096, nil) == nil)
        #expect(
            problem((50 << 20) + 1000 * 4096, nil)
                == "the limit of the address space leaves this process 50 MiB; at least 180 are needed, 80 of them for the "
                + "stacks of 10 threads. Raise it (ulimit -v, LimitAS).")
        #expect(try #require(problem(1 << 40, 1 << 20)).contains("ulimit -d"))
        #expect(needs.fileProblem(nil) == nil && needs.fileProblem(1 << 20) == nil)
        #expect(try #require(needs.fileProblem(1024)).contains("ulimit -f"))
    }

    @Test func `a few threads can be had`() {
        #expect(ThreadAllowance.problem(needing: 20) == nil)
        #expect(kfacd_available_threads(20) == 20)
    }
}
