public import Foundation

#if canImport(FoundationXML)
    public import FoundationXML
#endif

/// Reads a page as XML and keeps its elements.
public final class PageReader: NSObject, XMLParserDelegate {
    /// An element with its whole text.
    public struct Element {
        /// The name of its tag.
        public let name: String
        /// The attributes by name.
        public let attributes: [String: String]
        /// The names of the surrounding elements, the outermost first.
        public let path: [String]
        /// The text in it and in the elements below it.
        public var text = ""
    }

    /// The elements in the order of the page.
    public private(set) var elements: [Element] = []
    /// Why the page is not well formed; nil if it is.
    public private(set) var problem: String?
    private var open: [Int] = []

    /// Reads a page.
    public init(_ text: String) {
        super.init()
        let parser = XMLParser(data: Data(text.utf8))
        parser.delegate = self
        if !parser.parse() {
            problem = "line \(parser.lineNumber): \(parser.parserError.map { "\($0)" } ?? "unknown")"
        }
    }

    /// The elements of a name.
    public func all(_ name: String) -> [Element] { elements.filter { $0.name == name } }

    /// The identifiers of the page's sections.
    public var sections: [String] { all("section").compactMap { $0.attributes["id"] } }

    /// Opens an element.
    public func parser(
        _ parser: XMLParser,
        didStartElement name: String,
        namespaceURI: String?,
        qualifiedName: String?,
        attributes: [String: String]
    ) {
        elements.append(Element(name: name, attributes: attributes, path: open.map { elements[$0].name }))
        open.append(elements.count - 1)
    }

    /// Closes an element.
    public func parser(_ parser: XMLParser, didEndElement name: String, namespaceURI: String?, qualifiedName: String?) {
        open.removeLast()
    }

    /// Adds text to the open elements.
    public func parser(_ parser: XMLParser, foundCharacters text: String) {
        for index in open { elements[index].text += text }
    }
}
