import FileAccess
import Foundation
import Identifiers
import JobPlan
import Publication
import TestSupport
import Testing

@testable import CoordinatorService

/// The check of slow job files, with real directories.
@Suite(.timeLimit(.minutes(5))) struct AdmissionDeskTests {
    private let directory: TemporaryDirectory
    private let owner = ClaimOwner(coordinator: "c", stateDirectory: "")

    init() throws { directory = try TemporaryDirectory() }

    private func submission(base: String) -> Submission {
        Submission(
            specText: "merge_method: linear\nbase_model: \(base)\nmodels:\n - model: \(base)\noutput: out\n",
            specPath: directory.appending("job.yaml"), overwrites: false)
    }

    /// A directory with so many shards that the check takes far longer than a test waits.
    private func writeSlowBase() throws {
        var entries: [String] = []
        for number in 0..<4000 {
            entries.append("\"t\(number)\": \"s\(number).safetensors\"")
            let header = Array("{\"t\(number)\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}".utf8)
            let length = withUnsafeBytes(of: UInt64(header.count).littleEndian) { Array($0) }
            try directory.write(length + header + [0, 0, 0, 0], to: "slow/s\(number).safetensors")
        }
        try directory.write(
            Array("{\"weight_map\": {\(entries.joined(separator: ","))}}".utf8),
            to: "slow/model.safetensors.index.json")
    }

    @Test func `a check that takes too long is given up, and its place is free again`() async throws {
        try FileManager.default.createDirectory(
            atPath: directory.appending("slow"), withIntermediateDirectories: true)
        try writeSlowBase()
        var limits = AdmissionDesk.Limits()
        (limits.places, limits.time) = (1, .milliseconds(1))
        let desk = AdmissionDesk(roots: .unlimited, owner: owner, limits: limits)
        for _ in 0..<3 {
            do throws(JobRefusal) {
                _ = try await desk.admit(submission(base: "slow"), as: "job-1", for: "client")
                Issue.record("the check was not given up")
            } catch {
                #expect(error.isInterruption)
                #expect(error.description.contains("the check was given up"))
            }
        }
    }

    @Test func `a check ends when nobody waits for it any more`() async throws {
        let desk = AdmissionDesk(roots: .unlimited, owner: owner)
        let submission = submission(base: "missing")
        let task = Task {
            withUnsafeCurrentTask { $0?.cancel() }
            return try await desk.admit(submission, as: "job-1", for: "client")
        }
        await #expect(throws: JobRefusal(interruption: "nobody waits for the check any more")) { try await task.value }
        // Other clients are served.
        await #expect(throws: JobRefusal.self) { try await desk.admit(submission, as: "job-2", for: "other") }
    }

    @Test func `too many that wait are refused at once, and say so`() async throws {
        let desk = AdmissionDesk(roots: .unlimited, owner: owner)
        let submission = submission(base: "missing")
        await withTaskGroup(of: Bool.self) { group in
            for number in 0..<200 {
                group.addTask {
                    do throws(JobRefusal) {
                        _ = try await desk.admit(submission, as: JobID(rawValue: "job-\(number)"), for: "client")
                        return false
                    } catch {
                        return error.isInterruption ? error.description.contains("wait to be checked already") : true
                    }
                }
            }
            for await isAnswered in group { #expect(isAnswered) }
        }
    }

    @Test func `health says so when every place is held by a check that does not end`() {
        let pulse = AdmissionPulse(places: 2, limit: .seconds(10))
        let start = ContinuousClock.now
        pulse.begin(0, "/a.yaml", at: start)
        pulse.begin(1, "/b.yaml", at: start + .seconds(5))
        #expect(pulse.problem(at: start + .seconds(12)) == nil)
        #expect(
            pulse.problem(at: start + .seconds(16))
                == "no job file can be checked: /a.yaml, /b.yaml have been checked for more than 10 s; does their file "
                + "system answer?")
        pulse.end(0)
        #expect(pulse.problem(at: start + .seconds(16)) == nil)
    }
}
