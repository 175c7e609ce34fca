import Identifiers

/// What has changed since every worker with room was asked and none found a unit.
///
/// Thousands of workers may have room while nothing is left for them. So only those are asked again whose own units,
/// blobs or queue have changed. Whatever may concern others makes that all are asked.
struct AssignmentSearch: Sendable {
    /// Whether nobody else would find a unit.
    var isSettled = false
    /// The workers that may find one.
    var changed: Set<WorkerID> = []
}
