import ReferenceModel

/// One task's embedded images, with the head that classifies features.
public struct EvaluationTask: Sendable {
    /// The task's name.
    public let name: String
    /// Its frozen head.
    public let head: ClassHead
    /// `[samples, 28, 28]`, grey.
    public let images: [UInt8]
    /// `[samples, positions, width]`.
    public let tokens: [Float]
    /// `[samples]`.
    public let labels: [Int32]

    /// A task's images of one split.
    ///
    /// - Parameters:
    ///   - name: The task's name.
    ///   - head: The task's head.
    ///   - images: The images. Every label must be below the head's number of classes.
    ///   - base: The model that embeds the images.
    /// - Throws: ``LaboratoryError/usage(_:)`` for a label outside the head's classes.
    public init(name: String, head: ClassHead, images: ImageSet, base: BaseModel) throws(LaboratoryError) {
        guard images.labels.allSatisfy({ 0..<Int32(head.classCount) ~= $0 }) else {
            throw .usage(
                "task \(name): a label of \(images.labels.max() ?? 0), but its head has \(head.classCount) classes. "
                    + "Give the data and the heads of the same study.")
        }
        self.name = name
        self.head = head
        self.images = images.images
        tokens = base.embedding.tokens(of: images.images)
        labels = images.labels
    }

    /// The pixels of some samples, `[samples, 28, 28]`.
    public func pixels(of samples: [Int]) -> [UInt8] {
        let size = VisionTransformerShape.imageSide * VisionTransformerShape.imageSide
        return samples.flatMap { images[$0 * size..<($0 + 1) * size] }
    }
}
