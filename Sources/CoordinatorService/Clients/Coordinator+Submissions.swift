import Admission
import Foundation
import Identifiers
import JobPlan
import Messaging
import Publication
import PushedRuns
import Scheduling
import SystemPackage
import UnitOperations
import WireProtocol
import ZeroMQ

/// Handles job files that clients submit or want planned.
extension Coordinator {
    /// How often a client is told the progress of its check.
    private static let progressInterval: Duration = .seconds(1)

    /// Checks a job file, reports the progress to the client, and stops when the client is gone.
    ///
    /// - Parameters:
    ///   - peer: The client.
    ///   - number: The number of its request.
    ///   - answer: Makes the answer.
    /// - Returns: The answer.
    func checking(
        for peer: RoutingIdentity, _ number: UInt64,
        _ answer: @escaping @Sendable (AdmissionDesk.Client, AdmissionProgress) async -> ClientReply
    ) async -> ClientReply {
        let (progress, client, endpoint) = (AdmissionProgress(), endpoint.holder(of: peer), endpoint)
        // Tasks because each ends alone: the check when the client is gone, the reports when the check is done.
        let check = Task { await answer(client, progress) }
        let news = Task {
            while (try? await Task.sleep(for: Self.progressInterval)) != nil {
                await endpoint.send(.reply(number, .progress(self.text(of: progress))), to: peer)
            }
        }
        checks[peer, default: [:]][number] = check
        let reply = await withTaskCancellationHandler {
            await check.value
        } onCancel: {
            check.cancel()
        }
        news.cancel()
        checks[peer]?[number] = nil
        if checks[peer]?.isEmpty == true { checks[peer] = nil }
        return reply
    }

    /// The progress of a check, and why a checked job cannot be recorded now.
    private func text(of progress: AdmissionProgress) -> String {
        let current = progress.current
        guard current == AdmissionNotes.recording, let journalPause else { return current }
        return "\(current): \(journalPause)"
    }

    /// Stops the checks for a client that is gone.
    func endChecks(of peer: RoutingIdentity) {
        for check in checks[peer, default: [:]].values { check.cancel() }
    }

    func submit(
        _ submission: Submission, for client: AdmissionDesk.Client, _ progress: AdmissionProgress
    ) async -> ClientReply {
        do throws(JobRefusal) {
            let id = nextJobID()
            let job = try await admitted(submission, as: id, for: client, progress)
            // One after the other, so that a job that is submitted twice is accepted once.
            await beginAcceptance()
            defer { endAcceptance() }
            if let running = scheduler.runningJob(fingerprint: job.fingerprint), settled[running] != nil {
                return .accepted(running, isRunningAlready: true, notices: job.plan.notices)
            }
            // The client that waited for the check may be gone.
            guard !Task.isCancelled else { throw JobRefusal(interruption: "nobody waits for the job any more") }
            progress.note(AdmissionNotes.recording)
            try await admissionDesk.claimOutput(of: job)
            let header = JobHeader(
                id: id, fingerprint: job.fingerprint, specText: submission.specText, specPath: submission.specPath,
                overwrites: submission.overwrites, output: job.output.path.string,
                submittedAt: Date.now.timeIntervalSince1970, unitCount: job.plan.units.count,
                attemptMark: .random(in: 1..<Attempt.markCount))
            try keepRuns(of: job)
            let outputs = await admissionDesk.stage(job, logger)
            guard await accept(job, outputs, header: header) else {
                runs.release(id, at: Date.now.timeIntervalSince1970)
                job.output.discard()
                return .failure(
                    RequestFailure(
                        kind: .world,
                        problems: [JobProblem(at: "\(id)", "the coordinator is about to stop; nothing was queued.")]))
            }
            let shortage = job.shortage.map {
                JobNotice(
                    at: job.plan.spec.output.location,
                    "the outputs do not fit at the moment: \($0) The job waits when the disk is full.")
            }
            return .accepted(id, isRunningAlready: false, notices: job.plan.notices + [shortage].compactMap { $0 })
        } catch {
            return .failure(RequestFailure(error))
        }
    }

    /// Keeps the files of pushed runs for a job until it ends, also over a restart.
    ///
    /// - Throws: `JobRefusal`; the job's claim and holds are gone then.
    private func keepRuns(of job: Job) throws(JobRefusal) {
        do throws(RunStoreError) {
            for members in job.runs { try runs.keep(members, for: job.id) }
        } catch {
            runs.release(job.id, at: Date.now.timeIntervalSince1970)
            job.output.discard()
            throw JobRefusal(interruption: "\(error)")
        }
    }

    func plan(
        _ submission: Submission, for client: AdmissionDesk.Client, _ progress: AdmissionProgress
    ) async -> ClientReply {
        do throws(JobRefusal) {
            let plan = try await admitted(submission, as: "plan", for: client, progress).plan
            return .plan(PlanSummary(of: plan, known: scheduler.knownUnits(of: plan)))
        } catch {
            return .failure(RequestFailure(error))
        }
    }

    private func admitted(
        _ submission: Submission, as id: JobID, for client: AdmissionDesk.Client, _ progress: AdmissionProgress
    ) async throws(JobRefusal) -> Job {
        let job: Job
        let wasRunning = isRunning(submission)
        do {
            job = try await checked(submission, as: id, for: client, progress)
        } catch {
            // The job may have been submitted twice, so that its own output was in its way.
            guard !wasRunning, isRunning(submission) else { throw error }
            job = try await checked(submission, as: id, for: client, progress)
        }
        let memories = conversations.workers.values.map(\.hello.memoryBytes)
        if let problem = JobAdmission.memoryProblem(of: job.plan, workerMemories: memories) {
            throw JobRefusal(problems: [problem])
        }
        return job
    }

    private func checked(
        _ submission: Submission, as id: JobID, for client: AdmissionDesk.Client, _ progress: AdmissionProgress
    ) async throws(JobRefusal) -> Job {
        var submission = submission
        submission.overwrites = submission.overwrites || isRunning(submission)
        return try await admissionDesk.admit(submission, as: id, for: client, progress: progress)
    }

    /// Waits until the jobs that are being accepted are accepted or refused.
    func waitForAcceptances() async {
        await beginAcceptance()
        endAcceptance()
    }

    /// Waits until no other job is being accepted.
    private func beginAcceptance() async {
        guard acceptanceTurns != nil else {
            acceptanceTurns = []
            return
        }
        await withCheckedContinuation { acceptanceTurns?.append($0) }
    }

    /// Allows the next job to be accepted.
    private func endAcceptance() {
        guard let next = acceptanceTurns?.first else {
            acceptanceTurns = nil
            return
        }
        acceptanceTurns?.removeFirst()
        next.resume()
    }

    /// Whether the same job file already runs; then its own staging directory is not an obstacle.
    private func isRunning(_ submission: Submission) -> Bool {
        jobs.keys.contains { id in
            scheduler.header(of: id).map { $0.specText == submission.specText && $0.specPath == submission.specPath }
                ?? false
        }
    }
}
