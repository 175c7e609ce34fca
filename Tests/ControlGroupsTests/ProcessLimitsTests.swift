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

    @Test func `a few threads can be had`() {
        #expect(ThreadAllowance.problem(needing: 20) == nil)
    }
}
